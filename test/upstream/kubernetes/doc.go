// Package kubernetes pins what `make bench-upstream` builds of upstream: the
// control plane that Knarr is measured beside. It is a module of its own, so
// that upstream's choice of versions does not touch Knarr's, and holds no code:
// nothing of upstream's is copied. Owner: test/bench.
package kubernetes
