// Package simulated plays nodes: it registers Node objects with their leases,
// says of every pod bound to them that it runs and is ready, and lets go of
// pods that are to be deleted. Nothing is executed, and nothing answers at the
// addresses that nodes and pods show.
//
// Each node speaks to the API as its own identity, like a real agent, so that
// a control plane has with a simulated node the work that it has with a real
// one. A Fleet owns which of its nodes are silent and the addresses that it
// gave to pods; everything else is in the API, and a Fleet that comes after a
// restart goes on with what it finds there.
//
// status.go is pure: a pod and a time in, the status that a node would report
// out.
package simulated
