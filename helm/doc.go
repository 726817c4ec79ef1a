// Package helm pins Helm, which `knarr helm` runs. The module holds no code:
// `make payload` builds Helm's own program from it, and
// internal/app/payload carries that compressed within knarr.
//
// It is a program of its own because what Helm initializes at start (schema
// compilers, plugin machinery, registries) would cost every other command and
// the server some 10 ms and 4 MiB, and a module of its own so that Go's version
// selection does not lift Knarr's libraries to those that Helm wants.
package helm
