package match

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// matches tells whether a rule is about a write, under a resource's name.
func matches(r *admissionregistrationv1.NamedRuleWithOperations, a *admission.Attributes, gvr schema.GroupVersionResource) bool {
	return resourceMatches(r.Resources, gvr.Resource, a.Subresource) &&
		oneOf(r.APIGroups, gvr.Group) && oneOf(r.APIVersions, gvr.Version) &&
		slices.ContainsFunc(r.Operations, func(op admissionregistrationv1.OperationType) bool {
			return op == admissionregistrationv1.OperationAll || string(op) == string(a.Operation)
		}) &&
		scopeMatches(r.Scope, a) && (len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name))
}

func oneOf(items []string, wanted string) bool {
	for _, item := range items {
		if item == "*" || item == wanted {
			return true
		}
	}
	return false
}

// resourceMatches compares entries such as pods, pods/*, */scale and */*.
func resourceMatches(entries []string, resource, subresource string) bool {
	for _, entry := range entries {
		name, sub, _ := strings.Cut(entry, "/")
		if (name == "*" || name == resource) && (sub == "*" || sub == subresource) {
			return true
		}
	}
	return false
}

// scopeMatches counts namespaces among what is cluster-scoped.
func scopeMatches(s *admissionregistrationv1.ScopeType, a *admission.Attributes) bool {
	if s == nil || *s == admissionregistrationv1.AllScopes {
		return true
	}
	clusterScoped := a.Namespace == "" || admission.IsNamespace(a.Kind)
	switch *s {
	case admissionregistrationv1.NamespacedScope:
		return !clusterScoped
	case admissionregistrationv1.ClusterScope:
		return clusterScoped
	}
	return false
}

// Exempt tells of the kinds that configure admission: no configuration is
// asked about them, so that a bad one can be taken away.
func Exempt(a *admission.Attributes) bool {
	return a.Kind.GVK.Group == admissionregistrationv1.GroupName
}
