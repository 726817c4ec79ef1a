package cache

import (
	"strconv"
	"sync"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// Item is one version of one object. It is immutable and shared by everybody
// who reads the object.
type Item struct {
	// Object has its resourceVersion, apiVersion and kind set.
	Object api.Object
	// Revision is the change that made this version.
	Revision store.Revision

	key      string // the store's key
	resource *Resource
	index    []string // one value per indexed field of the kind; nil without
	size     int32    // bytes as stored: what the history's budget counts
	sum      uint64   // of the content, where mutations are looked for

	mu        sync.Mutex
	encodings *encoding // guarded by mu: a short list, one per media key
}

// Key is the item's place in the order of its resource: "namespace/name", or
// the name alone where the kind has no namespaces.
func (i *Item) Key() string { return i.key[len(i.resource.prefix):] }

// Resource is the resource that the item belongs to.
func (i *Item) Resource() *Resource { return i.resource }

// Size is the item's length as stored, in bytes.
func (i *Item) Size() int { return int(i.size) }

// commit completes a new item with the revision that it got. The item is not
// visible to anybody else yet.
func (i *Item) commit(rev store.Revision) {
	i.Revision = rev
	i.Object.SetResourceVersion(FormatRevision(rev))
}

// FormatRevision is the resourceVersion of a revision.
func FormatRevision(rev store.Revision) string { return strconv.FormatUint(uint64(rev), 10) }
