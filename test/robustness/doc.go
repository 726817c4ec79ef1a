// Package robustness kills, pauses and starves an API server, again and again,
// while clients work on it, and holds what they saw against a model
// (test/robustness/history).
//
// A run is a number of rounds. Each has a namespace of its own, clients that
// contend for few objects of several kinds, and watches that go on where they
// were cut off; its last fault is a kill, after which nothing of it can still
// be under way. What is chosen at random (faults, moments, requests) comes from
// the seed and the number of the round; how the processes interleave does not.
//
// The server's data lies on a small file system of the run's own, in a mount
// namespace that ends with the run. `make robustness` runs it; docs/robustness.md
// tells what it found.
package robustness
