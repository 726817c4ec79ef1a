package ruleset

import (
	"slices"

	"github.com/google/nftables"
)

// chunkSize bounds the elements of one message: a list of elements is an
// attribute, whose length the kernel reads from 16 bits, and an element of
// ours takes up to 64 bytes of it.
const chunkSize = 500

// addSet queues a set with an id of this table's own, which its batch knows it
// by: the library counts them for the whole process, without a lock.
func (t *Table) addSet(set *nftables.Set, elements []nftables.SetElement) error {
	t.setID++
	set.ID = t.setID
	return t.conn.AddSet(set, elements)
}

// addMap queues an anonymous map with any number of elements.
func (t *Table) addMap(m *nftables.Set, elements []nftables.SetElement) error {
	first := min(chunkSize, len(elements))
	m.Size = uint32(len(elements)) // or the first chunk's would be the map's
	m.Name = "__map%d"             // the kernel numbers it
	if err := t.addSet(m, elements[:first]); err != nil {
		return err
	}
	// The library refuses to change an anonymous set, which the kernel allows
	// until a rule of the same batch refers to it.
	more := *m
	more.Anonymous = false
	for chunk := range slices.Chunk(elements[first:], chunkSize) {
		if err := t.conn.SetAddElements(&more, chunk); err != nil {
			return err
		}
	}
	return nil
}

// deleteElements queues the removal of any number of elements.
func (t *Table) deleteElements(set *nftables.Set, elements []nftables.SetElement) error {
	for chunk := range slices.Chunk(elements, chunkSize) {
		if err := t.conn.SetDeleteElements(set, chunk); err != nil {
			return err
		}
	}
	return nil
}
