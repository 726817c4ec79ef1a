package crd

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
)

// source names the controller where it is one of several that publish.
const source = "custom resources"

// publish shows what is served in the catalogue, discovery and OpenAPI.
func (c *Controller) publish() error {
	var kinds []*api.Kind
	var all []*versioned
	c.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(c.served)) {
		for _, v := range c.served[name].served() {
			kinds = append(kinds, v.kind)
			all = append(all, v)
		}
	}
	c.mu.Unlock()
	if slices.Equal(kinds, c.Catalog.Custom()) {
		return nil
	}
	if err := c.Catalog.SetCustom(kinds); err != nil {
		return err
	}
	if c.Discovery != nil {
		c.Discovery.SetExtra(source, groupsOf(kinds))
	}
	if c.Documents != nil {
		return c.Documents.SetExtra(source, c.documentsOf(all))
	}
	return nil
}

// groupsOf is what discovery shows of the kinds.
func groupsOf(kinds []*api.Kind) []discovery.Group {
	groups := map[string]map[string][]metav1.APIResource{}
	for _, k := range kinds {
		if groups[k.GVK.Group] == nil {
			groups[k.GVK.Group] = map[string][]metav1.APIResource{}
		}
		versions := groups[k.GVK.Group]
		versions[k.GVK.Version] = append(versions[k.GVK.Version], discovery.Resources(k)...)
	}
	var out []discovery.Group
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := discovery.Group{Name: name}
		for _, v := range slices.SortedFunc(maps.Keys(groups[name]), preferred) {
			g.Versions = append(g.Versions, discovery.Version{Name: v, Resources: groups[name][v]})
		}
		out = append(out, g)
	}
	return out
}

// preferred orders versions: stable before beta before alpha, newer first.
func preferred(a, b string) int {
	return cmp.Or(version.CompareKubeAwareVersionStrings(b, a), cmp.Compare(a, b))
}

// documentsOf are the OpenAPI documents of the versions, one for each group
// and version.
func (c *Controller) documentsOf(all []*versioned) []openapi.Extra {
	byName := map[string][]*versioned{}
	for _, v := range all {
		name := "apis/" + v.gvk.GroupVersion().String()
		byName[name] = append(byName[name], v)
	}
	var out []openapi.Extra
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		set := document{versions: byName[name], meta: c.metaTypes}
		out = append(out, openapi.Extra{Name: name, Tag: set.tag(), V3: set.v3, V2: set.v2})
	}
	return out
}

// tag changes whenever the document does.
func (d document) tag() string {
	h := sha256.New()
	for _, v := range d.versions {
		fmt.Fprintln(h, v.definition.crd.UID, v.definition.crd.Generation, v.spec.Name)
		_ = json.NewEncoder(h).Encode(v.definition.names) // a hash takes everything
	}
	return fmt.Sprintf("%X", h.Sum(nil))
}
