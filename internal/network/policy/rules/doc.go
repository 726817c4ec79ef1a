// Package rules is the pure half of network policies: policies, pods and
// namespaces in, sets and chains out. It has no effects and reads no clock.
//
// What the parts are:
//
//	group     the addresses of the pods that a peer's selectors take; policies
//	          that select the same pods share one. It becomes a set.
//	chain     of a policy and a direction: one rule after the other that
//	          accepts; what it does not accept goes on in the next policy
//	profile   the chain of all pods with the same policies: those policies'
//	          chains in turn, then a drop
//	subject   the address of a pod of this node, and its profile per direction
//
// A Book holds all of that and is told of one change after the other; Take
// gives what the kernel has to be told since the last time. The cost of a
// change follows what it touches: a pod that comes is held against the groups
// of its namespace, and becomes one element of those that take it.
//
// Semantics are those of networking.k8s.io/v1 (the API's reference, KEP-2079
// for ranges of ports): pods that no policy selects are open in that
// direction, others take and send what any of their policies allows.
package rules
