package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// formerVersion tells of a version that the API once served, and whose objects
// are therefore refused as of another version instead of as unknown.
func formerVersion(gv schema.GroupVersion) bool {
	return slices.Contains(map[string][]string{
		"admissionregistration.k8s.io": {"v1beta1"},
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
	}[gv.Group], gv.Version)
}
