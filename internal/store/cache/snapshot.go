package cache

import (
	"slices"

	"github.com/tidwall/btree"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// Snapshot is the state of a resource at a revision. It is a small value that
// may be copied, is safe for concurrent use, and needs no release. The order
// is that of upstream's storage: by the bytes of "namespace/name".
type Snapshot struct {
	*state
	prefix     string
	namespaced bool
	revision   store.Revision
}

// state is what snapshots of one moment share. After it was handed out
// nobody changes it.
type state struct {
	items   btree.Map[string, *Item] // by the store's key
	fields  []string                 // names of the indexed fields
	indexes []btree.Map[string, *Item]
}

func newState(k *api.Kind) *state {
	return &state{fields: k.IndexedFields, indexes: make([]btree.Map[string, *Item], len(k.IndexedFields))}
}

// Revision is the state's revision: every change of the resource up to it is
// in, and none after it.
func (s Snapshot) Revision() store.Revision { return s.revision }

// Same tells whether nothing changed from one snapshot of a resource to the
// other: what was made of one serves for the other.
func (s Snapshot) Same(o Snapshot) bool { return s.state == o.state }

// Len is the number of objects.
func (s Snapshot) Len() int { return s.items.Len() }

// Get finds one object; namespace is empty for kinds without.
func (s Snapshot) Get(namespace, name string) (*Item, bool) {
	return s.items.Get(joinKey(s.prefix, s.namespaced, namespace, name))
}

// Ascend calls fn for the objects of a namespace (empty: of all), in order,
// behind the object that after names (both empty: from the first), until fn
// returns false. The object that after names need not exist.
func (s Snapshot) Ascend(namespace, afterNamespace, afterName string, fn func(*Item) bool) {
	within := s.prefix
	if namespace != "" && s.namespaced {
		within += namespace + "/"
	}
	pivot, after := within, ""
	if afterNamespace != "" || afterName != "" {
		after = joinKey(s.prefix, s.namespaced, afterNamespace, afterName)
		pivot = max(pivot, after)
	}
	s.items.Ascend(pivot, func(key string, item *Item) bool {
		if key == after {
			return true
		}
		return hasPrefix(key, within) && fn(item)
	})
}

// ByField calls fn for the objects whose field has the value, in order, until
// fn returns false. ok is false where the field is not indexed.
func (s Snapshot) ByField(field, value string, fn func(*Item) bool) (ok bool) {
	i := slices.Index(s.fields, field)
	if i < 0 {
		return false
	}
	within := indexKey(value, "")
	s.indexes[i].Ascend(within, func(key string, item *Item) bool {
		return hasPrefix(key, within) && fn(item)
	})
	return true
}

// clone is O(1); the two share their nodes until one of them changes.
func (s *state) clone() *state {
	out := &state{items: *s.items.Copy(), fields: s.fields}
	if len(s.indexes) > 0 {
		out.indexes = make([]btree.Map[string, *Item], len(s.indexes))
		for i := range s.indexes {
			out.indexes[i] = *s.indexes[i].Copy()
		}
	}
	return out
}

// replace puts item in the place of old; either may be nil.
func (s *state) replace(old, item *Item) {
	switch {
	case item != nil:
		s.items.Set(item.key, item)
	case old != nil:
		s.items.Delete(old.key)
	}
	for i := range s.indexes {
		s.reindex(i, old, item)
	}
}

func (s *state) reindex(i int, old, item *Item) {
	if old != nil && (item == nil || old.index[i] != item.index[i]) {
		s.indexes[i].Delete(indexKey(old.index[i], old.key))
	}
	if item != nil {
		s.indexes[i].Set(indexKey(item.index[i], item.key), item)
	}
}

// indexKey orders an index by value, then by key. No value of a field
// contains a zero byte.
func indexKey(value, key string) string { return value + "\x00" + key }

func joinKey(prefix string, namespaced bool, namespace, name string) string {
	if !namespaced {
		return prefix + name
	}
	return prefix + namespace + "/" + name
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }
