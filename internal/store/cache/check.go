package cache

import "hash/fnv"

// The check that nobody changes a shared object: its content is hashed when it
// becomes visible and compared when it leaves the newest state. Options.Mutated
// turns it on.

func (c *Cache) remember(item *Item) {
	if c.options.Mutated != nil {
		item.sum = item.contentSum()
	}
}

// check reports an item that is leaving the newest state.
func (c *Cache) check(item *Item) {
	if c.options.Mutated != nil && item.sum != item.contentSum() {
		c.options.Mutated(item.key)
	}
}

func (c *Cache) checkAll() {
	if c.options.Mutated == nil {
		return
	}
	for _, r := range c.Resources() {
		c.checkResource(r)
	}
}

func (c *Cache) checkResource(r *Resource) {
	if c.options.Mutated == nil {
		return
	}
	r.Snapshot().Ascend("", "", "", func(item *Item) bool {
		c.check(item)
		return true
	})
}

func (i *Item) contentSum() uint64 {
	data, err := i.resource.codec.encodePlain(i.Object)
	if err != nil {
		return 0
	}
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64()
}
