// Package podnet prepares a node's network for pods and undoes that again:
// forwarding, the routes and addresses that belong to the node as a whole,
// and the rules that other firewalls need to let pods through.
//
// The link of each pod is made by the runtime. The invariant here: whatever
// Setup changed is written to a state file first, so that Remove restores the
// machine even after a crash in between.
package podnet
