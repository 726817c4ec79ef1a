package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

// formerVersion tells of a kind in a version that the API once served: it is
// refused as of another version instead of as unknown.
func (s *Server) formerVersion(gvk schema.GroupVersionKind) bool {
	known := slices.ContainsFunc(s.Catalog.Kinds(), func(k *api.Kind) bool {
		return k.GVK.Group == gvk.Group && k.GVK.Kind == gvk.Kind
	})
	return known && slices.Contains(map[string][]string{
		"admissionregistration.k8s.io": {"v1beta1"},
		"apiextensions.k8s.io":         {"v1beta1"},
		"apps":                         {"v1beta1", "v1beta2"},
		"autoscaling":                  {"v2beta1", "v2beta2"},
		"batch":                        {"v1beta1"},
		"certificates.k8s.io":          {"v1beta1"},
		"coordination.k8s.io":          {"v1beta1"},
		"discovery.k8s.io":             {"v1beta1"},
		"events.k8s.io":                {"v1beta1"},
		"extensions":                   {"v1beta1"},
		"networking.k8s.io":            {"v1beta1"},
		"policy":                       {"v1beta1"},
		"rbac.authorization.k8s.io":    {"v1alpha1", "v1beta1"},
		"scheduling.k8s.io":            {"v1alpha1", "v1beta1"},
		"storage.k8s.io":               {"v1alpha1", "v1beta1"},
	}[gvk.Group], gvk.Version)
}
