// Package ingress takes HTTP requests in by the rules of networking.k8s.io/v1
// Ingress and hands them to the endpoints of Services.
//
// routes.go is pure: Ingresses and their classes become a table of hosts and
// paths. backends.go knows the endpoints of each Service port and picks one
// per request. A request goes to an endpoint directly, not through the
// Service's address, so that a refused connection is tried on another
// endpoint and a rolling update loses nothing.
package ingress
