// Package webhook asks other people's servers about writes: the mutating and
// validating webhooks of admissionregistration.k8s.io/v1.
//
// Configurations are read from the object cache and compiled when they first
// matter after a change: a write is judged by the configurations that are
// stored when it comes. Mutating webhooks are called one after the other, in
// order of their configurations' names, and those that ask for it once more
// when a later one changed the object; validating ones at the same time.
//
// A webhook is a stranger: its answer is bounded in size and time, its uid,
// kind and patch are checked, and its failure is what its failurePolicy says.
// Writes that no webhook is about cost a look at the rules. The package owns
// the connections to webhooks; Hooks is safe for concurrent use.
package webhook
