// Package catalog lists every kind that is served and finds them by name or
// type.
//
// The built-in kinds are fixed when a Catalog is made. The kinds of custom
// resources come and go with their definitions: SetCustom replaces all of
// them at once. Every look-up works on one consistent set.
package catalog

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

// Catalog finds kinds. It is safe for concurrent use.
type Catalog struct {
	builtin set
	byType  map[reflect.Type]*api.Kind
	custom  atomic.Pointer[set]

	mu      sync.Mutex
	changed map[int]func() // guarded by mu
	next    int            // guarded by mu: key of changed
}

// set is an immutable set of kinds.
type set struct {
	kinds      []*api.Kind
	byKind     map[schema.GroupVersionKind]*api.Kind
	byResource map[schema.GroupVersionResource]*api.Kind
	groups     []Group
}

// Group is an API group with its versions in order of preference.
type Group struct {
	Name     string
	Versions []string
}

// Of makes a catalogue of the given built-in kinds, in their order; two kinds
// of one name, or of one resource, are a programming error and refused.
func Of(kinds []*api.Kind) (*Catalog, error) {
	c := &Catalog{byType: make(map[reflect.Type]*api.Kind, len(kinds)), changed: map[int]func(){}}
	var err error
	if c.builtin, err = setOf(kinds); err != nil {
		return nil, err
	}
	for _, k := range kinds {
		c.byType[reflect.TypeOf(k.New())] = k
	}
	none, err := setOf(nil)
	c.custom.Store(&none)
	return c, err
}

func setOf(kinds []*api.Kind) (set, error) {
	s := set{
		byKind:     make(map[schema.GroupVersionKind]*api.Kind, len(kinds)),
		byResource: make(map[schema.GroupVersionResource]*api.Kind, len(kinds)),
	}
	for _, k := range kinds {
		if s.byKind[k.GVK] != nil || s.byResource[k.GVR()] != nil {
			return s, fmt.Errorf("kind %s is declared twice", k.GVK)
		}
		s.kinds = append(s.kinds, k)
		s.byKind[k.GVK] = k
		s.byResource[k.GVR()] = k
		s.addGroup(k.GVK.Group, k.GVK.Version)
	}
	return s, nil
}

func (s *set) addGroup(group, version string) {
	for i := range s.groups {
		if s.groups[i].Name != group {
			continue
		}
		if !slices.Contains(s.groups[i].Versions, version) {
			s.groups[i].Versions = append(s.groups[i].Versions, version)
		}
		return
	}
	s.groups = append(s.groups, Group{Name: group, Versions: []string{version}})
}

// SetCustom replaces the kinds of custom resources. Built-in kinds of the same
// name win; two custom kinds of one name are refused, and nothing changes.
func (c *Catalog) SetCustom(kinds []*api.Kind) error {
	s, err := setOf(kinds)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.custom.Store(&s)
	told := make([]func(), 0, len(c.changed))
	for _, fn := range c.changed {
		told = append(told, fn)
	}
	c.mu.Unlock()
	for _, fn := range told {
		fn()
	}
	return nil
}

// OnChange calls fn after every change of the custom kinds, until stop is
// called. fn must not block, and reads the new set from the catalogue.
func (c *Catalog) OnChange(fn func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.next
	c.next++
	c.changed[at] = fn
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.changed, at)
	}
}

// Kinds are the built-in kinds in declaration order.
func (c *Catalog) Kinds() []*api.Kind { return c.builtin.kinds }

// Custom are the kinds of custom resources that are served now: one for each
// served version of each definition.
func (c *Catalog) Custom() []*api.Kind { return c.custom.Load().kinds }

// Groups are the groups of the built-in kinds in declaration order.
func (c *Catalog) Groups() []Group { return c.builtin.groups }

// HasGroup tells whether any version of a group is served.
func (c *Catalog) HasGroup(name string) bool {
	is := func(g Group) bool { return g.Name == name }
	return slices.ContainsFunc(c.builtin.groups, is) || slices.ContainsFunc(c.custom.Load().groups, is)
}

// InVersion are the built-in kinds of one group and version, by resource name.
func (c *Catalog) InVersion(gv schema.GroupVersion) []*api.Kind {
	var out []*api.Kind
	for _, k := range c.builtin.kinds {
		if k.GVK.GroupVersion() == gv {
			out = append(out, k)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Resource < out[j].Resource })
	return out
}

// Kind finds by group, version and kind; nil where there is none.
func (c *Catalog) Kind(gvk schema.GroupVersionKind) *api.Kind {
	if k := c.builtin.byKind[gvk]; k != nil {
		return k
	}
	return c.custom.Load().byKind[gvk]
}

// Resource finds by group, version and plural; nil where there is none.
func (c *Catalog) Resource(gvr schema.GroupVersionResource) *api.Kind {
	if k := c.builtin.byResource[gvr]; k != nil {
		return k
	}
	return c.custom.Load().byResource[gvr]
}

// TypeOf finds the built-in kind of a Go object; nil where there is none.
func (c *Catalog) TypeOf(obj api.Object) *api.Kind { return c.byType[reflect.TypeOf(obj)] }
