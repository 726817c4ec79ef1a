// Package suite pins what `make conformance` builds of upstream: its e2e suite,
// the ginkgo that runs it, and the programs of its test images. It is a module
// of its own, so that upstream's choice of versions does not touch Knarr's,
// and holds no code: nothing of upstream's is copied.
package suite
