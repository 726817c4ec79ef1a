// Package cache is the one decoded copy of every stored object.
//
// A Cache loads a store once, then follows its changes. The API server reads,
// lists, watches and writes through it; nobody else opens the store. Per
// resource it keeps a copy-on-write ordered map (snapshots cost O(1)), indexes
// over the fields that the kind names, and a bounded history that all watchers
// share behind cursors.
//
// Invariants:
//
//   - an Item and its Object never change after they became visible; whoever
//     wants another state makes a deep copy and writes it;
//   - there is one Item per object version in the process, and one goroutine
//     (the follower) that makes changes visible, in order of revision;
//   - when a write returns, snapshots, gets and watches of this cache show it;
//   - a snapshot holds exactly the state as of its revision.
//
// Objects have their resourceVersion (the revision in decimal) and the
// apiVersion and kind under which they are stored. The resourceVersion is
// never part of the stored bytes.
package cache
