// Package test runs the real programs, knarr-keep and knarr-runtime, as root in
// a network namespace of their own, and drives them by CRI. It has no code of
// its own: folder workload holds the program that runs in the containers.
package test
