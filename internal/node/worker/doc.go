// Package worker runs pods. Each pod has one Worker: one goroutine, the sole
// owner of the pod's life on this node. It keeps a podstate.View, asks
// podstate.Next what to do, carries the actions out beside itself, and writes
// the status that podstate.Status gives. Everything reaches it as a message:
// the pod's changes at the API, the runtime's events, probe results, the ends
// of its own actions, the clock. docs/life-of-a-pod.md shows its states.
//
// The Manager starts a Worker for each pod of the node and for each pod that
// the runtime still knows and the API does not, decides on admission, and
// passes the runtime's events on.
//
// Invariants: only a Worker's goroutine touches its View; an action under way
// is in View.Ops until its result was taken in; at most one status write of a
// pod is under way; a Worker ends only when nothing of its pod is left.
package worker
