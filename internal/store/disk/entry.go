package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// entry is what the log says of one revision.
type entry struct {
	key     string
	deleted bool
	follows previous
}

// previous is when a key was last written before; known tells that the
// revision is, and zero that the key was not there.
type previous struct {
	revision store.Revision
	known    bool
}

func (e entry) encode(flag byte) []byte {
	out := make([]byte, 0, 1+revisionLen+len(e.key))
	if !e.follows.known {
		return append(append(out, flag), e.key...)
	}
	out = binary.BigEndian.AppendUint64(append(out, flag|flagFollows), uint64(e.follows.revision))
	return append(out, e.key...)
}

// readEntry reads what the log's iterator stands on.
func readEntry(it *pebble.Iterator) (store.Revision, entry, error) {
	n, _, err := splitNumber(it.Key())
	if err != nil {
		return 0, entry{}, err
	}
	stored, err := it.ValueAndErr()
	if err != nil {
		return 0, entry{}, err
	}
	e, err := decodeEntry(stored)
	if err != nil {
		return 0, entry{}, fmt.Errorf("log entry %d: %w", n, err)
	}
	return store.Revision(n), e, nil
}

func decodeEntry(stored []byte) (entry, error) {
	if len(stored) < 2 {
		return entry{}, errCorrupt
	}
	flag, rest := stored[0], stored[1:]
	e := entry{deleted: flag&^flagFollows == flagDeleted}
	if flag&flagFollows != 0 {
		if len(rest) <= revisionLen {
			return entry{}, errCorrupt
		}
		e.follows = previous{store.Revision(binary.BigEndian.Uint64(rest)), true}
		rest = rest[revisionLen:]
	}
	e.key = string(rest)
	return e, nil
}
