package discovery

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// Group is an API group as discovery shows it, its versions in order of
// preference.
type Group struct {
	Name     string
	Versions []Version
	// Priority puts groups that upstream's server does not know in order, the
	// highest first; zero is that of custom resources.
	Priority int32
}

// Version is what one version of a group serves.
type Version struct {
	Name      string
	Resources []metav1.APIResource
	// Stale says that the server that answers for the version cannot be asked.
	Stale bool
}

// order is the sequence in which upstream's server names the groups; groups
// that it does not know (custom ones) follow by name.
func order() []string {
	return []string{
		"", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
		"autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
		"storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
		"coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io",
	}
}

// Builtin are the groups of a catalogue.
func Builtin(c *catalog.Catalog) []Group {
	var out []Group
	for _, g := range c.Groups() {
		group := Group{Name: g.Name}
		for _, name := range g.Versions {
			version := Version{Name: name}
			for _, k := range c.InVersion(schema.GroupVersion{Group: g.Name, Version: name}) {
				version.Resources = append(version.Resources, Resources(k)...)
			}
			sortResources(version.Resources)
			group.Versions = append(group.Versions, version)
		}
		out = append(out, group)
	}
	return out
}

// merge puts the groups of both lists in discovery's order; versions of a
// group in both lists stand together, the first list's first; of two with one
// name the second list's counts.
func merge(builtin, extra []Group) []Group {
	var out []Group
	for _, g := range slices.Concat(builtin, extra) {
		i := slices.IndexFunc(out, func(o Group) bool { return o.Name == g.Name })
		if i < 0 {
			out = append(out, Group{Name: g.Name, Versions: slices.Clone(g.Versions), Priority: g.Priority})
			continue
		}
		out[i].Versions = slices.DeleteFunc(out[i].Versions, func(v Version) bool {
			return slices.ContainsFunc(g.Versions, func(o Version) bool { return o.Name == v.Name })
		})
		out[i].Versions = append(out[i].Versions, g.Versions...)
	}
	rank := ranks()
	slices.SortStableFunc(out, func(a, b Group) int {
		return cmp.Or(cmp.Compare(rank(a.Name), rank(b.Name)), cmp.Compare(priority(b), priority(a)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// customPriority is that of the groups of custom resources.
const customPriority = 1000

func priority(g Group) int32 { return cmp.Or(g.Priority, customPriority) }

func ranks() func(group string) int {
	known := order()
	return func(group string) int {
		if i := slices.Index(known, group); i >= 0 {
			return i
		}
		return len(known)
	}
}
