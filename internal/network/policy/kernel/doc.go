// Package kernel carries out what package rules wants: one nftables table of
// its own, so that a change of a policy does not make the kernel validate the
// chains of all Services again, nor the other way round.
//
// The first packet of a connection meets, at each hook, egress before ingress
// (an accept in one base chain does not end the next):
//
//	forward       @out by source, @in by destination: between pods, and the world
//	input         @out by source: a pod to its node; @in by destination: the
//	              cluster DNS, which the node answers itself
//	postrouting   @in by destination: only what the node's edge sends
//
// What the node itself sends to its pods is not judged. The edge is an
// exception: towards pods it gets an address of the node's pod range as its
// source, so that every node can tell Ingress traffic from a node's own.
//
// All hooks come after destination addresses were translated and, but for the
// edge, before sources are. Packets of connections that were allowed pass by
// their state; EndFlows ends those that are allowed no longer.
//
// A table is built beside the one that stands and takes over in one
// transaction: at the start, and after the kernel refused a change. Rules stay
// when the process ends.
package kernel
