// Package catalog lists every built-in kind and finds them by name or type.
//
// New builds the catalogue once per process; it is immutable afterwards.
// Custom resources are not part of it.
package catalog

import (
	"fmt"
	"reflect"
	"sort"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

// Catalog finds kinds. It is immutable and safe for concurrent use.
type Catalog struct {
	kinds      []*api.Kind
	byKind     map[schema.GroupVersionKind]*api.Kind
	byResource map[schema.GroupVersionResource]*api.Kind
	byType     map[reflect.Type]*api.Kind
	groups     []Group
}

// Group is an API group with its versions in order of preference.
type Group struct {
	Name     string
	Versions []string
}

// Of makes a catalogue of the given kinds, in their order; two kinds of one
// name, or of one resource, are a programming error and refused.
func Of(kinds []*api.Kind) (*Catalog, error) {
	c := &Catalog{
		byKind:     make(map[schema.GroupVersionKind]*api.Kind, len(kinds)),
		byResource: make(map[schema.GroupVersionResource]*api.Kind, len(kinds)),
		byType:     make(map[reflect.Type]*api.Kind, len(kinds)),
	}
	for _, k := range kinds {
		if c.byKind[k.GVK] != nil || c.byResource[k.GVR()] != nil {
			return nil, fmt.Errorf("kind %s is declared twice", k.GVK)
		}
		c.kinds = append(c.kinds, k)
		c.byKind[k.GVK] = k
		c.byResource[k.GVR()] = k
		c.byType[reflect.TypeOf(k.New())] = k
		c.addGroup(k.GVK.Group, k.GVK.Version)
	}
	return c, nil
}

func (c *Catalog) addGroup(group, version string) {
	for i := range c.groups {
		if c.groups[i].Name != group {
			continue
		}
		for _, v := range c.groups[i].Versions {
			if v == version {
				return
			}
		}
		c.groups[i].Versions = append(c.groups[i].Versions, version)
		return
	}
	c.groups = append(c.groups, Group{Name: group, Versions: []string{version}})
}

// Kinds are all kinds in declaration order.
func (c *Catalog) Kinds() []*api.Kind { return c.kinds }

// Groups are all groups in declaration order.
func (c *Catalog) Groups() []Group { return c.groups }

// InVersion are the kinds of one group and version, by resource name.
func (c *Catalog) InVersion(gv schema.GroupVersion) []*api.Kind {
	var out []*api.Kind
	for _, k := range c.kinds {
		if k.GVK.GroupVersion() == gv {
			out = append(out, k)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Resource < out[j].Resource })
	return out
}

// Kind finds by group, version and kind; nil where there is none.
func (c *Catalog) Kind(gvk schema.GroupVersionKind) *api.Kind { return c.byKind[gvk] }

// Resource finds by group, version and plural; nil where there is none.
func (c *Catalog) Resource(gvr schema.GroupVersionResource) *api.Kind { return c.byResource[gvr] }

// TypeOf finds the kind of a Go object; nil where there is none.
func (c *Catalog) TypeOf(obj api.Object) *api.Kind { return c.byType[reflect.TypeOf(obj)] }
