// Package disk is the embedded storage engine: store.Store on Pebble.
//
// It keeps every version of a key under (key, revision), a log of revisions
// for watches that start in the past, and an index of expiry times. One
// goroutine writes (see commit.go): it gathers what is queued, checks the
// guards, gives out revisions, commits one synced batch and only then makes
// the changes visible. Readers never see what is not durable, because they
// read as of the newest published revision.
//
// Old versions are kept for a while (Options.Keep), then compacted by the
// janitor goroutine. Pebble would end the process when a commit fails; here
// the store fails instead: every method returns that error from then on, and
// Options.OnFailure tells the owner to start anew.
//
// The engine is the only user of its directory; a lock holds others off.
package disk
