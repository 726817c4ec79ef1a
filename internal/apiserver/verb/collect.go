package verb

import (
	"strings"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// collect picks the objects that a list asks for out of a state, using an
// index where one helps.
func collect(snap cache.Snapshot, k *api.Kind, q listing.Query) *List {
	out := &List{}
	out.ResourceVersion = cache.FormatRevision(snap.Revision())
	c := collector{list: out, query: q, kind: k}
	switch {
	case q.Selector.Name != "" && (q.Selector.Namespace != "" || !q.Selector.Namespaced()):
		if item, found := snap.Get(q.Selector.Namespace, q.Selector.Name); found {
			c.take(item)
		}
	case q.AfterName == "" && q.AfterNamespace == "" && c.byIndex(snap):
	default:
		snap.Ascend(q.Selector.Namespace, q.AfterNamespace, q.AfterName, c.take)
	}
	c.finish(snap)
	return out
}

type collector struct {
	list  *List
	query listing.Query
	kind  *api.Kind
	more  bool
}

// byIndex reads through an index over a field that the selector fixes. Its
// order is the same as the plain one's, so that limits work alike.
func (c *collector) byIndex(snap cache.Snapshot) bool {
	name, value, ok := indexed(c.kind, &c.query.Selector)
	return ok && snap.ByField(name, value, c.take)
}

// indexed is a field that the selector fixes and the cache has an index of.
func indexed(k *api.Kind, s *listing.Selector) (name, value string, ok bool) {
	if k.View != nil {
		return "", "", false // the index is over the stored kind's fields
	}
	name, value, ok = s.Exact(k.IndexedFields)
	// Indexes are without zero bytes, so that such a value is not found there.
	return name, value, ok && !strings.ContainsRune(value, 0)
}

func (c *collector) take(item *cache.Item) bool {
	// Whether the rest matches is not looked at: a full list with anything
	// behind it can be continued.
	if c.query.Limit > 0 && int64(len(c.list.Items)) == c.query.Limit {
		c.more = true
		return false
	}
	if !c.query.Selector.Matches(View(c.kind, item)) {
		return true
	}
	c.list.Items = append(c.list.Items, item)
	return true
}

// finish adds the continue token and, where nothing was filtered, how many
// objects are left.
func (c *collector) finish(snap cache.Snapshot) {
	if !c.more {
		return
	}
	last := c.list.Items[len(c.list.Items)-1].Object
	c.list.Continue = listing.Token(snap.Revision(), last.GetNamespace(), last.GetName())
	if !c.query.Selector.Everything() {
		return
	}
	left := int64(0)
	snap.Ascend(c.query.Selector.Namespace, last.GetNamespace(), last.GetName(), func(*cache.Item) bool {
		left++
		return true
	})
	c.list.RemainingItemCount = &left
}
