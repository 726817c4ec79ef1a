// Package deployment rolls a Deployment's template out through ReplicaSets.
//
// rollout.go and its neighbours are pure: a rollout is made of a Deployment,
// its ReplicaSets, their pods and the time, and ends in a list of writes to
// ReplicaSets and one status. controller.go applies them in order. The
// controller writes ReplicaSets (creation, replicas, annotations, deletion)
// and the Deployment's status with its revision annotation; nobody else
// writes those.
//
// At no moment does a rolling update ask for more than spec.replicas plus
// maxSurge pods, or for fewer than spec.replicas minus maxUnavailable to stay.
package deployment
