// Package policy enforces the NetworkPolicies of the API for the pods of a
// node: what may come to them and where they may go.
//
// Package rules says what follows from policies, pods and namespaces; package
// kernel makes it so. The Agent here follows the API, and is the sole owner of
// the book and of the table, on one goroutine. Until there is a policy in the
// cluster it watches policies alone and the kernel has nothing of it.
//
// A pod's containers start after Admit returned: then all policies that were
// there before are in the kernel, for the pod's address.
//
// Two things that are pods elsewhere and parts of the node here are presented
// as pods: see DNSPod and EdgePod.
package policy
