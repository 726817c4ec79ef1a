// Package proxy makes Services reachable on a node: cluster addresses, node
// ports, external addresses, and the host ports of the node's pods.
//
// render.go is pure: a Service and its endpoint slices in, chains and set
// elements out. proxy.go follows the API and keeps, per Service, what it
// rendered last; a change renders that Service alone and hands the difference
// to package ruleset, so that its cost does not depend on how many Services
// there are.
//
// An endpoint that terminates gets no new connections. WaitRemoved tells the
// node agent when that has taken effect, so that a pod is told to stop only
// after nobody is sent to it any more.
package proxy
