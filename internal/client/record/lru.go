package record

import "container/list"

// lru is a map that forgets the least recently used beyond its size.
type lru[K comparable, V any] struct {
	size  int
	order *list.List
	items map[K]*list.Element
}

type lruItem[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, order: list.New(), items: make(map[K]*list.Element)}
}

// get gives the zero value where there is none.
func (l *lru[K, V]) get(key K) V {
	el := l.items[key]
	if el == nil {
		var none V
		return none
	}
	l.order.MoveToFront(el)
	return el.Value.(lruItem[K, V]).value
}

func (l *lru[K, V]) put(key K, value V) {
	if el := l.items[key]; el != nil {
		el.Value = lruItem[K, V]{key, value}
		l.order.MoveToFront(el)
		return
	}
	l.items[key] = l.order.PushFront(lruItem[K, V]{key, value})
	if l.order.Len() > l.size {
		last := l.order.Back()
		l.order.Remove(last)
		delete(l.items, last.Value.(lruItem[K, V]).key)
	}
}
