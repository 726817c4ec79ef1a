package aggregation

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
)

// source names the aggregator among those who add to discovery.
const source = "aggregated servers"

// publish shows the groups of other servers in discovery. Those that cannot be
// reached stay, with what they last had.
func (a *Aggregator) publish() {
	a.publishing.Lock()
	defer a.publishing.Unlock()
	routes := a.routes.Load()
	if routes == nil {
		return
	}
	groups := groupsOf(*routes)
	var documents []openapi.Extra
	for i := range a.Own {
		if own := &a.Own[i]; (*routes)[own.GroupVersion] == nil {
			groups = join(groups, own)
			documents = append(documents, own.Document)
		}
	}
	a.Discovery.SetExtra(source, groups)
	if a.Documents == nil {
		return
	}
	for _, b := range *routes {
		if e, has := b.extra(); has {
			documents = append(documents, e)
		}
	}
	if err := a.Documents.SetExtra(source, documents); err != nil {
		a.Logger.Warn("the OpenAPI documents of aggregated servers are not shown", "error", err)
	}
}

// join adds a version that this server answers itself: behind those of other
// servers, where there are any of its group.
func join(groups []discovery.Group, own *Own) []discovery.Group {
	v := discovery.Version{Name: own.GroupVersion.Version, Resources: own.Resources}
	for i := range groups {
		if groups[i].Name == own.GroupVersion.Group {
			groups[i].Versions = append(groups[i].Versions, v)
			return groups
		}
	}
	return append(groups, discovery.Group{Name: own.GroupVersion.Group, Priority: own.Priority, Versions: []discovery.Version{v}})
}

func groupsOf(routes map[schema.GroupVersion]*backend) []discovery.Group {
	byGroup := map[string][]*backend{}
	for gv, b := range routes {
		byGroup[gv.Group] = append(byGroup[gv.Group], b)
	}
	var out []discovery.Group
	for name, backends := range byGroup {
		slices.SortFunc(backends, func(x, y *backend) int {
			return cmp.Or(cmp.Compare(y.service.Spec.VersionPriority, x.service.Spec.VersionPriority),
				version.CompareKubeAwareVersionStrings(y.gv().Version, x.gv().Version))
		})
		g := discovery.Group{Name: name}
		for _, b := range backends {
			known := b.known.Load()
			g.Priority = max(g.Priority, b.service.Spec.GroupPriorityMinimum)
			g.Versions = append(g.Versions, discovery.Version{Name: b.gv().Version, Resources: known.resources, Stale: !known.available()})
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(x, y discovery.Group) int { return cmp.Compare(x.Name, y.Name) })
	return out
}
