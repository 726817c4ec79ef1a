// Package reconcile is the only reconcile engine: a keyed queue and workers
// around a function that brings one key's world into its desired state.
//
// A request is only a key: what happened is read from informers, so that any
// number of changes in between cost one run. A key is never worked on by two
// workers at once; a key added while its run is under way runs once more
// afterwards. A failed run comes again after a pause that doubles per key,
// within bounds; a success forgets it. A panic in the function is an error of
// that key, not the end of the process.
//
// The queue owns which keys wait, run and are due later; nobody else does.
package reconcile
