// Package kwok pins the simulator of nodes that `make bench-upstream` builds,
// for upstream's control plane and for Knarr's. It is a module of its own that
// holds no code. Owner: test/bench.
package kwok
