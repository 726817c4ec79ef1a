// Package outbound calls the HTTPS servers that extend the API: admission and
// conversion webhooks, and aggregated API servers.
//
// A Client makes one Endpoint for each server that a configuration names, by
// URL or as a Service of the cluster. A Service is resolved at each dial to a
// ready endpoint, by the endpoint slices of the object cache: no cluster DNS
// and no Service rules of this machine are needed. The certificate is
// verified for the name NAME.NAMESPACE.svc.
//
// The owner of an Endpoint owns its connections: it closes the Endpoint when
// the configuration changes. The package keeps no other state. Everything is
// safe for concurrent use; calls end with their context, and answers are
// bounded.
package outbound
