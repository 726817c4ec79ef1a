// Package eviction keeps the node alive when memory, disk, inodes or process
// ids run out: it frees what nobody uses, then ends pods, the one that takes
// most beyond its request first.
//
// The core is pure: State.Step says which thresholds are met and which
// conditions the node has, Rank orders the pods, Exceeds tells a pod that broke
// its own storage limits. Manager looks at the machine every ten seconds and
// carries out what they say. Rules, orders and texts are those of upstream's
// kubelet ("Node-pressure Eviction"); thresholds are settings.
//
// Manager owns what is known of pressure; a pod's end belongs to its worker.
package eviction
