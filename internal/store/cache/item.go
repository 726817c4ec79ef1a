package cache

import (
	"strconv"
	"sync"
	"sync/atomic"

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

	forms atomic.Pointer[form]
}

// form is an item as another version of its kind, which took a webhook to
// make. Forms live as long as their item; there are few, so they are a list.
type form struct {
	kind   *api.Kind
	object api.Object
	next   *form
}

// Form is the item as another kind, if SetForm gave it; nil else.
func (i *Item) Form(k *api.Kind) api.Object {
	for f := i.forms.Load(); f != nil; f = f.next {
		if f.kind == k {
			return f.object
		}
	}
	return nil
}

// SetForm keeps the item as another kind. The object belongs to the item from
// now on: nobody changes it.
func (i *Item) SetForm(k *api.Kind, obj api.Object) {
	for {
		have := i.forms.Load()
		if i.forms.CompareAndSwap(have, &form{kind: k, object: obj, next: have}) {
			return
		}
	}
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
