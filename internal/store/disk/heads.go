package disk

import "github.com/knarr-io/knarr/internal/store"

// mostHeads is how many keys the writer remembers where the options do not say;
// each takes some tens of bytes beside the key itself.
const mostHeads = 64 << 10

// heads remembers when keys that were written lately were last written, so
// that the guards of their next write need no look into the database, which
// would read and decompress a block of every level. Where there are too many
// it forgets any. It belongs to the writer.
type heads struct {
	most  int
	known map[string]store.Revision // zero where the key was deleted
}

func newHeads(most int) heads { return heads{most: most, known: make(map[string]store.Revision)} }

func (h *heads) get(key string) (modified store.Revision, ok bool) {
	modified, ok = h.known[key]
	return modified, ok
}

// committed takes in what a durable batch changed.
func (h *heads) committed(modified map[string]store.Revision) {
	for key, rev := range modified {
		h.known[key] = rev
	}
	for key := range h.known {
		if len(h.known) <= h.most {
			return
		}
		delete(h.known, key)
	}
}
