package client

import (
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
)

// Key names an object of a kind.
type Key struct{ Namespace, Name string }

// KeyOf is the object's key.
func KeyOf(obj api.Object) Key { return Key{Namespace: obj.GetNamespace(), Name: obj.GetName()} }

// Revision is the object's resourceVersion as a number; zero when it has none.
func Revision(obj api.Object) uint64 { return ParseRevision(obj.GetResourceVersion()) }

// ParseRevision reads a resourceVersion; zero when it is none.
func ParseRevision(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// objects is an informer's memory.
type objects struct {
	mu struct {
		sync.RWMutex
		byNamespace map[string]map[string]api.Object
		count       int
		indexes     map[string]*index
		seen        uint64
	}
}

type index struct {
	fn     func(api.Object) []string
	values map[string]map[Key]api.Object
}

func newObjects() *objects {
	o := &objects{}
	o.mu.byNamespace = make(map[string]map[string]api.Object)
	o.mu.indexes = make(map[string]*index)
	return o
}

func (o *objects) get(key Key) (api.Object, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	obj, ok := o.mu.byNamespace[key.Namespace][key.Name]
	return obj, ok
}

func (o *objects) len() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.mu.count
}

func (o *objects) seen() uint64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.mu.seen
}

func (o *objects) list(namespace string, selector labels.Selector) []api.Object {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if namespace != "" {
		return filterInto(nil, o.mu.byNamespace[namespace], selector)
	}
	out := make([]api.Object, 0, o.mu.count)
	for _, names := range o.mu.byNamespace {
		out = filterInto(out, names, selector)
	}
	return out
}

func filterInto(out []api.Object, in map[string]api.Object, selector labels.Selector) []api.Object {
	for _, obj := range in {
		if selector == nil || selector.Matches(labels.Set(obj.GetLabels())) {
			out = append(out, obj)
		}
	}
	return out
}

func (o *objects) byIndex(name, value string) []api.Object {
	o.mu.RLock()
	defer o.mu.RUnlock()
	ix := o.mu.indexes[name]
	if ix == nil {
		return nil
	}
	out := make([]api.Object, 0, len(ix.values[value]))
	for _, obj := range ix.values[value] {
		out = append(out, obj)
	}
	return out
}

func (o *objects) addIndex(name string, fn func(api.Object) []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.indexes[name] != nil {
		return
	}
	ix := &index{fn: fn, values: make(map[string]map[Key]api.Object)}
	for _, names := range o.mu.byNamespace {
		for _, obj := range names {
			ix.add(obj)
		}
	}
	o.mu.indexes[name] = ix
}

// saw raises the revision known to have passed.
func (o *objects) saw(revision uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.seen = max(o.mu.seen, revision)
}

// apply puts changes in and returns what was there before each.
func (o *objects) apply(changes []change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range changes {
		o.applyLocked(&changes[i])
	}
}

func (o *objects) applyLocked(c *change) {
	names := o.mu.byNamespace[c.key.Namespace]
	c.old = names[c.key.Name]
	o.mu.seen = max(o.mu.seen, c.revision)
	if c.old != nil {
		for _, ix := range o.mu.indexes {
			ix.remove(c.old)
		}
	}
	if c.new == nil {
		if c.old != nil {
			delete(names, c.key.Name)
			o.mu.count--
			if len(names) == 0 {
				delete(o.mu.byNamespace, c.key.Namespace)
			}
		}
		return
	}
	if names == nil {
		names = make(map[string]api.Object)
		o.mu.byNamespace[c.key.Namespace] = names
	}
	if c.old == nil {
		o.mu.count++
	}
	names[c.key.Name] = c.new
	for _, ix := range o.mu.indexes {
		ix.add(c.new)
	}
}

// keys lists what is held.
func (o *objects) keys() []Key {
	o.mu.RLock()
	defer o.mu.RUnlock()
	out := make([]Key, 0, o.mu.count)
	for ns, names := range o.mu.byNamespace {
		for name := range names {
			out = append(out, Key{Namespace: ns, Name: name})
		}
	}
	return out
}

func (ix *index) add(obj api.Object) {
	for _, value := range ix.fn(obj) {
		set := ix.values[value]
		if set == nil {
			set = make(map[Key]api.Object)
			ix.values[value] = set
		}
		set[KeyOf(obj)] = obj
	}
}

func (ix *index) remove(obj api.Object) {
	for _, value := range ix.fn(obj) {
		set := ix.values[value]
		delete(set, KeyOf(obj))
		if len(set) == 0 {
			delete(ix.values, value)
		}
	}
}
