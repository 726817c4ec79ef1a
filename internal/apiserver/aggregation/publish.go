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
	a.Discovery.SetExtra(source, groupsOf(*routes))
	if a.Documents == nil {
		return
	}
	var documents []openapi.Extra
	for _, b := range *routes {
		if e, has := b.extra(); has {
			documents = append(documents, e)
		}
	}
	if err := a.Documents.SetExtra(source, documents); err != nil {
		a.Logger.Warn("the OpenAPI documents of aggregated servers are not shown", "error", err)
	}
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
