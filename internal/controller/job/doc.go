// Package job runs pods until enough of them have succeeded.
//
// plan.go and its neighbours are pure: a job, its pods and the time in, the
// next step out. controller.go takes the step. The controller writes pods and
// the status of jobs; nobody else writes that status.
//
// No pod is counted twice, and none is lost. Every pod carries a finalizer
// (batch.kubernetes.io/job-tracking) until it is counted, and counting takes
// three writes, of which each may be the last before a crash: the pod's UID
// into status.uncountedTerminatedPods, the finalizer off the pod, the UID out
// of the list and into the number (KEP-2307). A run acts only on a state that
// shows the writes of the one before.
package job
