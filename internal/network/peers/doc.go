// Package peers routes the pods of other nodes: it follows the Nodes and keeps
// one route per pod range, straight to a node with which this one shares a
// link, and through a VXLAN tunnel (RFC 7348) to any other. What is for a node
// in a namespace of another machine goes to that machine's first node, which
// passes it on, and so does what such a node has for other machines.
//
// plan.go is pure: a Node in, the wanted peer out. kernel.go carries it out by
// netlink. The follower's goroutine is the sole owner of what it has applied;
// a change of one Node costs what that Node has, however many there are.
// Routes stay when the follower ends: pods go on to talk.
package peers
