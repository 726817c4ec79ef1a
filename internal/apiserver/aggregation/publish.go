package aggregation

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/apiserver/discovery"
)

// source names the aggregator among those who add to discovery.
const source = "aggregated servers"

// publish shows the groups of other servers in discovery. Those that cannot be
// reached stay, with what they last had.
func (a *Aggregator) publish() {
	a.publishing.Lock()
	defer a.publishing.Unlock()
	if routes := a.routes.Load(); routes != nil {
		a.Discovery.SetExtra(source, groupsOf(*routes))
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
