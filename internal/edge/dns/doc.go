// Package dns answers the cluster's names by the Kubernetes DNS-Based Service
// Discovery specification, version 1.1, and forwards all others.
//
// zone.go and render.go are pure: a Service with its endpoint slices is
// rendered into records, and the zone answers questions from them. A change
// touches the records of its Service alone. server.go speaks DNS, forward.go
// asks the machine's own resolvers.
package dns
