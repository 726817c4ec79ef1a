package disk

import (
	"hash/maphash"

	"github.com/knarr-io/knarr/internal/store"
)

// headSlots is how many keys the writer remembers where the options do not say.
const headSlots = 4096

// heads remembers when keys that were written lately were last written, so
// that the guards of their next write need no look into the database. It
// forgets a key when another one takes its slot. It belongs to the writer.
type heads struct {
	seed  maphash.Seed
	slots []head
}

// head is a key's newest state; modified is zero where it was deleted.
type head struct {
	key      string
	modified store.Revision
}

func newHeads(slots int) heads { return heads{seed: maphash.MakeSeed(), slots: make([]head, slots)} }

func (h *heads) slot(key string) *head {
	return &h.slots[maphash.String(h.seed, key)%uint64(len(h.slots))]
}

func (h *heads) get(key string) (modified store.Revision, ok bool) {
	s := h.slot(key)
	return s.modified, s.key == key
}

// committed takes in what a durable batch changed.
func (h *heads) committed(modified map[string]store.Revision) {
	for key, rev := range modified {
		*h.slot(key) = head{key, rev}
	}
}
