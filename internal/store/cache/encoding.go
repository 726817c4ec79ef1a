package cache

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"weak"
)

var errEncodePanicked = errors.New("an earlier encoding of this object panicked")

// encoding is one item in one media type. The first who wants it makes it,
// the others wait. The item owns it: an item that nobody holds any more takes
// its encodings with it.
type encoding struct {
	key  string
	item *Item
	next *encoding   // in the item's list; guarded by the item's mu
	used atomic.Bool // since the budget last looked

	once sync.Once
	data []byte
	err  error
}

// Encoded is the item as encode makes it, which gives the bytes away. It is made
// at most once per media key while wanted, kept as long as the cache's byte
// budget allows, and shared by all readers: the bytes must not be changed. An
// error is not kept.
func (i *Item) Encoded(mediaKey string, encode func() ([]byte, error)) ([]byte, error) {
	e := i.encoding(mediaKey)
	made := false
	e.once.Do(func() {
		made = true
		e.err = errEncodePanicked // stays where encode panics
		e.data, e.err = encode()
	})
	if e.err != nil {
		i.forget(e)
		return nil, e.err
	}
	if made {
		i.resource.cache.budget.add(e)
	} else if !e.used.Load() {
		e.used.Store(true)
	}
	return e.data, nil
}

// encoding finds the item's encoding or puts an unmade one in its list.
func (i *Item) encoding(mediaKey string) *encoding {
	i.mu.Lock()
	defer i.mu.Unlock()
	for e := i.encodings; e != nil; e = e.next {
		if e.key == mediaKey {
			return e
		}
	}
	e := &encoding{key: mediaKey, item: i, next: i.encodings}
	i.encodings = e
	return e
}

func (i *Item) forget(gone *encoding) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for at := &i.encodings; *at != nil; at = &(*at).next {
		if *at == gone {
			*at = gone.next
			return
		}
	}
}

// budget bounds the bytes of all encodings: over it, those go that were not
// used since it last came by (the clock approximation of least recently used,
// which costs readers no lock). It holds them weakly, so that encodings of
// items that are gone cost a few bytes until the hand passes.
type budget struct {
	limit int64

	mu    sync.Mutex
	bytes int64     // guarded by mu
	order list.List // guarded by mu: of budgeted, next to look at first
}

type budgeted struct {
	encoding weak.Pointer[encoding]
	size     int64
}

func (b *budget) add(e *encoding) {
	entry := budgeted{encoding: weak.Make(e), size: int64(len(e.data))}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order.PushBack(entry)
	b.bytes += entry.size
	b.evictLocked()
}

func (b *budget) evictLocked() {
	for b.bytes > b.limit {
		front := b.order.Front()
		entry := front.Value.(budgeted)
		e := entry.encoding.Value()
		if e != nil && e.used.Swap(false) {
			b.order.MoveToBack(front)
			continue
		}
		b.dropLocked(front, entry, e)
	}
}

// rest gives up what was not used since it, or the budget, last came by.
func (b *budget) rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for front, next := b.order.Front(), (*list.Element)(nil); front != nil; front = next {
		next = front.Next()
		entry := front.Value.(budgeted)
		e := entry.encoding.Value()
		if e != nil && e.used.Swap(false) {
			continue
		}
		b.dropLocked(front, entry, e)
	}
}

// dropLocked takes an entry out; its encoding is nil where its item is gone.
func (b *budget) dropLocked(at *list.Element, entry budgeted, e *encoding) {
	if e != nil {
		e.item.forget(e)
	}
	b.order.Remove(at)
	b.bytes -= entry.size
}

// held is the bytes that count against the budget.
func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}
