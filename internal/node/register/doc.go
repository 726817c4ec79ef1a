// Package register makes this machine a node: it creates the Node object,
// keeps its status true, renews its lease, and passes the pod range that the
// node was given on to the runtime.
//
// It owns the Node's status (the fields and conditions named here) and the
// node's Lease. One goroutine does all of it: it acts at once when the Node
// changes or the runtime's readiness may have, renews the lease every ten
// seconds, and writes an unchanged status every five minutes.
package register
