// Package statefulset keeps the pods of StatefulSets: each has an ordinal, and
// with it a name, a host name and claims of its own that outlive it.
//
// plan.go and its neighbours are pure: they look at a set, its pods by ordinal
// and its claims, and say what to do next. controller.go does it. The
// controller writes the pods, the claims of the templates, the
// ControllerRevisions and the status of its sets; nobody else writes those.
//
// There is at most one pod of an identity at any time: the API refuses a
// second one of the name, and a pod's successor is made only once the pod is
// gone from there, which its node has confirmed. A set that is OrderedReady
// never starts a pod before all lower ones are available, nor stops one before
// all higher ones are gone.
package statefulset
