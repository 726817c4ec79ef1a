// Package history judges what clients saw of an API: were their requests
// linearizable, is every acknowledged write there, and did watches and lists
// show all of it, once and in order?
//
// It knows nothing of servers and clocks. A History is filled in by the
// recorders of one run, under one lock; Check reads it when all of them have
// ended. What a request whose answer never came has done is taken from what
// others saw of it later, so that the model has one outcome to consider for
// each operation; Porcupine looks for the order.
//
// The rules are those that Kubernetes documents for resourceVersion: one object
// has one version per revision, reads without a resourceVersion are consistent,
// and a watch from a version tells every later change once, in order.
package history
