// Package daemonset keeps one pod of each DaemonSet on every node that takes
// it. Pods are pinned to their node by node affinity and placed by the
// scheduler like all others.
//
// place.go, plan.go, rolling.go and status.go are pure. controller.go does
// what they say: it writes pods, ControllerRevisions and the status of
// DaemonSets; nobody else writes those.
//
// A rolling update never takes a serving pod while maxUnavailable nodes or
// more have none that serves; where it may surge instead, the new pod serves
// before the old one goes, on at most maxSurge nodes at a time.
package daemonset
