// Package clients drives the built program with clients that nobody of this
// project wrote: client-go's informers and leader election, and a
// controller-runtime manager with its own custom resource, reconciler and
// webhooks. Each test has a server of its own, which package knarrtest starts
// (`knarr server --api-only`; the variable KNARRTEST_BINARY names the program).
//
// It is a module of its own, so that the versions which those clients choose do
// not lift Knarr's. Helm is driven by test/e2e, since its charts run pods.
package clients
