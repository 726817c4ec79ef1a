// Package soak works a cluster for minutes or hours and holds what it has
// taken against what it had: memory, descriptors, threads, goroutines, mounts,
// cgroups, links, nftables elements, files. What does not come back has leaked.
//
// A turn makes workloads of every kind in a namespace of its own, uses them,
// and takes them away; short-lived certificates and tokens are asked for and
// the store's history is compacted meanwhile. In the first half of the time the
// cluster's processes are killed between turns, one after the other. Both times
// the cluster is at rest when it is measured: the second measurement is taken
// again and again until every figure is within its allowance, for a bounded
// time.
package soak
