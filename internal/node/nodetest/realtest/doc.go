// Package realtest runs the node agent with Knarr's own runtime and real
// containers, in a network namespace that its tests make. The tests need root
// and the runtime's build (gcc, libseccomp), and say so where these lack.
package realtest
