package discovery

import (
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aggregatedAnswers are the two documents of aggregated discovery: the core
// group at /api, all others at /apis.
func aggregatedAnswers(groups []Group) map[string]*answer {
	core, named := newAggregated(), newAggregated()
	for _, g := range groups {
		switch {
		case len(g.Versions) == 0:
		case g.Name == "":
			core.Items = append(core.Items, aggregatedGroup(g))
		default:
			named.Items = append(named.Items, aggregatedGroup(g))
		}
	}
	return map[string]*answer{"/api": newAnswer(core), "/apis": newAnswer(named)}
}

func newAggregated() *apidiscoveryv2.APIGroupDiscoveryList {
	return &apidiscoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: apidiscoveryv2.SchemeGroupVersion.String()},
		Items:    []apidiscoveryv2.APIGroupDiscovery{},
	}
}

func aggregatedGroup(g Group) apidiscoveryv2.APIGroupDiscovery {
	out := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.Name}}
	for _, v := range g.Versions {
		fresh := apidiscoveryv2.DiscoveryFreshnessCurrent
		if v.Stale {
			fresh = apidiscoveryv2.DiscoveryFreshnessStale
		}
		out.Versions = append(out.Versions, apidiscoveryv2.APIVersionDiscovery{
			Version: v.Name, Freshness: fresh, Resources: aggregatedResources(v.Resources),
		})
	}
	return out
}

// aggregatedResources nests subresources, which follow their parent in the
// sorted list, under it.
func aggregatedResources(list []metav1.APIResource) []apidiscoveryv2.APIResourceDiscovery {
	var out []apidiscoveryv2.APIResourceDiscovery
	index := map[string]int{}
	for _, r := range list {
		parent, sub, isSub := strings.Cut(r.Name, "/")
		if !isSub {
			index[r.Name] = len(out)
			out = append(out, aggregatedResource(r))
			continue
		}
		if i, ok := index[parent]; ok {
			out[i].Subresources = append(out[i].Subresources, apidiscoveryv2.APISubresourceDiscovery{
				Subresource: sub, ResponseKind: responseKind(r), Verbs: r.Verbs,
			})
		}
	}
	return out
}

func aggregatedResource(r metav1.APIResource) apidiscoveryv2.APIResourceDiscovery {
	scope := apidiscoveryv2.ScopeCluster
	if r.Namespaced {
		scope = apidiscoveryv2.ScopeNamespace
	}
	return apidiscoveryv2.APIResourceDiscovery{
		Resource: r.Name, ResponseKind: responseKind(r), Scope: scope, SingularResource: r.SingularName,
		Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories,
	}
}

// responseKind has empty group and version where they are the enclosing ones.
func responseKind(r metav1.APIResource) *metav1.GroupVersionKind {
	return &metav1.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}
