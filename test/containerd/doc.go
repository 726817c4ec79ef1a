// Package containerd holds the proof that a node works with a runtime of
// another maker: `make containerd CONTAINERD=folder` runs a cluster on a
// containerd that it starts itself. Nothing of it is installed: the folder has
// bin/ with containerd, its shim and runc, and cni/ with plugins. Without them
// there is nothing to test, so that the tag containerd chooses the tests.
package containerd
