// Package simulated is what simulated nodes and those who meet them agree on:
// how a node says that nothing runs on it, and the annotations by which a pod
// chooses how it is played. It is pure.
package simulated

import corev1 "k8s.io/api/core/v1"

const (
	// Node is the annotation of a simulated node.
	Node = "simulated.knarr.io/node"
	// Silent is the annotation of a simulated node that makes it fail, for as long
	// as it has a value: no heartbeat, and nothing is done to its pods.
	Silent = "simulated.knarr.io/silent"
	// Hold is the annotation of a pod that keeps it from becoming ready, for as
	// long as it has a value.
	Hold = "simulated.knarr.io/not-ready"
	// RunFor is the annotation of a pod that says after what time its containers
	// exit with success, as a Go duration. A pod of a Job without it is done at
	// once on the nodes of "knarr up --simulate"; any other pod runs until it is
	// deleted.
	RunFor = "simulated.knarr.io/run-for"
	// Type is the value of the label "type" on simulated nodes, by which pods
	// select or avoid them.
	Type = "simulated"
)

// Is tells whether a node is a simulated one: nothing answers at its address,
// and none of its pods' containers run.
func Is(n *corev1.Node) bool { return n.Annotations[Node] != "" }
