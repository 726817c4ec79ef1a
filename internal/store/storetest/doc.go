// Package storetest is the suite that every storage engine must pass.
//
// Run holds an engine against the words of package store with directed cases,
// and against a simple model with random histories (RunModel). Engines call
// both from their own tests, with a function that opens an empty store.
package storetest
