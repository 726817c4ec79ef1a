// Package harness brings up a real cluster for the end-to-end tests, on a
// machine of its own as far as networks go, and gives the tests hands to work
// on it: run knarr and kubectl, fetch pages from the node and from outside,
// wait for conditions, kill what runs.
//
// A Machine is a pair of network namespaces; a Cluster is one that `knarr up`
// made in it, with folders, cgroup and kubeconfig of its own, so that it lives
// beside whatever else runs here. A Footprint is what a cluster may have left
// behind. Whoever makes a Machine or a Cluster closes it, also after failure.
package harness
