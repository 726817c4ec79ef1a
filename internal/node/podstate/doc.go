// Package podstate decides what is to be done for a pod, and what its status
// says. It is the pure core of the pod worker: a View (the pod, what the
// runtime last told, what is under way) and a time go in; a Plan of actions,
// or a PodStatus, comes out. It reads no clock and has no state of its own.
//
// Invariants, held by its tests:
//   - no action is planned while the same action is under way;
//   - a container is started only in a ready sandbox, after its volumes, and
//     in the order of the spec; init containers one after another;
//   - a stopping pod starts nothing, and its sandbox goes only after its last
//     container;
//   - the newest instance of a container is never removed while the pod lives,
//     so that its exit code and its restart count are known.
package podstate
