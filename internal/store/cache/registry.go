package cache

import (
	"fmt"
	"maps"
	"slices"

	"github.com/knarr-io/knarr/internal/api"
)

// registry is an immutable set of resources, once it is in use.
type registry struct {
	resources []*Resource
	byKind    map[*api.Kind]*Resource
	byPrefix  map[string]*Resource
}

func newRegistry(size int) *registry {
	return &registry{byKind: make(map[*api.Kind]*Resource, size), byPrefix: make(map[string]*Resource, size)}
}

func (g *registry) add(r *Resource) error {
	if g.byPrefix[r.prefix] != nil {
		return fmt.Errorf("two kinds are stored under %s", r.prefix)
	}
	g.resources = append(g.resources, r)
	g.byKind[r.kind], g.byPrefix[r.prefix] = r, r
	return nil
}

// without is a copy that lacks the resource of a prefix.
func (g *registry) without(prefix string) *registry {
	out := &registry{resources: slices.Clone(g.resources), byKind: maps.Clone(g.byKind), byPrefix: maps.Clone(g.byPrefix)}
	old := out.byPrefix[prefix]
	if old == nil {
		return out
	}
	delete(out.byPrefix, prefix)
	delete(out.byKind, old.kind)
	out.resources = slices.DeleteFunc(out.resources, func(r *Resource) bool { return r == old })
	return out
}
