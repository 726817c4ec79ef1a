package disk

import "github.com/knarr-io/knarr/internal/store"

// mostHeads is how many writes the writer remembers where the options do not
// say; each takes some tens of bytes beside the key itself.
const mostHeads = 64 << 10

// heads remembers the latest writes, so that the guards of their keys' next need
// no look into the database, which would read and decompress a block of every
// level. It belongs to the writer.
type heads struct {
	most  int
	known map[string]head
	// order are the writes as they came, from oldest on and round.
	order  []written
	oldest int
	// whole: every key that was written after this revision is known.
	whole store.Revision
}

// head is the state of a key: when it was last written (zero where it was
// deleted), and the last revision of the batch that did.
type head struct{ modified, batch store.Revision }

type written struct {
	key   string
	batch store.Revision
}

// newHeads remembers what is written after a revision.
func newHeads(most int, after store.Revision) heads {
	return heads{most: most, known: make(map[string]head), whole: after}
}

func (h *heads) get(key string) (modified store.Revision, ok bool) {
	known, ok := h.known[key]
	return known.modified, ok
}

// committed takes in what a durable batch changed, up to its last revision.
func (h *heads) committed(modified map[string]store.Revision, last store.Revision) {
	for key, rev := range modified {
		h.known[key] = head{rev, last}
		next := written{key, last}
		if len(h.order) < h.most {
			h.order = append(h.order, next)
			continue
		}
		h.forget(h.order[h.oldest])
		h.order[h.oldest] = next
		h.oldest = (h.oldest + 1) % h.most
	}
}

// forget lets go of a write, and of its key where that was not written since.
func (h *heads) forget(w written) {
	h.whole = max(h.whole, w.batch)
	if h.known[w.key].batch == w.batch {
		delete(h.known, w.key)
	}
}
