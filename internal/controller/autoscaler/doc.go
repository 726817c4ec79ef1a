// Package autoscaler runs HorizontalPodAutoscalers (autoscaling/v2): it sets
// the number of replicas of a target so that metrics come near their targets.
//
// The plan is pure: readings of metrics, pods, the object, what was recommended
// and done of late, and the time go in; the wanted number, status and events
// come out. The controller reads the metrics from the API's groups for them,
// writes the target's scale and is the only writer of the status of
// autoscalers. What it recommended of late lives in memory alone, as upstream's
// does: after a start, the current number counts as recommended.
//
// Invariants: the wanted number lies between minReplicas and maxReplicas
// (or is left alone), and moves no faster than the behaviour's policies allow.
package autoscaler
