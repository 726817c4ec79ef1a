package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateNode(n *corev1.Node) field.ErrorList {
	// Upstream reports taints and swap below metadata.
	errs := taints(n.Spec.Taints, field.NewPath("metadata", "taints"))
	if swap := n.Status.NodeInfo.Swap; swap != nil && swap.Capacity != nil {
		errs = append(errs, validate.Positive(*swap.Capacity, field.NewPath("metadata", "nodeSwapStatus", "capacity"))...)
	}
	errs = append(errs, nodeResources(n)...)
	errs = append(errs, declaredFeatures(n.Status.DeclaredFeatures)...)
	return append(errs, podCIDRs(n.Spec.PodCIDRs, nil)...)
}

func podCIDRs(list, before []string) field.ErrorList {
	path := field.NewPath("spec", "podCIDRs")
	var errs field.ErrorList
	for i, c := range list {
		errs = append(errs, validate.CIDR(c, path.Index(i), before...)...)
	}
	if len(list) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackCIDRStrings(list)
	if err != nil {
		errs = append(errs, field.InternalError(path, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%w", err)))
	}
	if !dual || len(list) > 2 {
		errs = append(errs, field.Invalid(path, list, "may specify no more than one CIDR for each IP family"))
	}
	return errs
}

func taints(list []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	type id struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := sets.New[id]()
	for i := range list {
		t, at := &list[i], path.Index(i)
		errs = append(errs, validate.LabelKey(t.Key, at.Child("key"))...)
		errs = append(errs, validate.Each(validation.IsValidLabelValue(t.Value), t.Value, at.Child("value"))...)
		if t.Effect == "" {
			errs = append(errs, field.Required(at.Child("effect"), ""))
		} else {
			errs = append(errs, taintEffect(t.Effect, at.Child("effect"))...)
		}
		k := id{t.Key, t.Effect}
		if seen.Has(k) {
			e := field.Duplicate(at, validate.Shown(t))
			e.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, e)
		}
		seen.Insert(k)
	}
	return errs
}

func nodeResources(n *corev1.Node) field.ErrorList {
	status := field.NewPath("status")
	var errs field.ErrorList
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"capacity", n.Status.Capacity}, {"allocatable", n.Status.Allocatable}} {
		for _, name := range sortedResources(l.list) {
			errs = append(errs, validate.ResourceQuantity(name, l.list[name], status.Child(l.name, string(name)))...)
		}
	}
	return errs
}

// declaredFeatures checks the names of the features that a node declares
// (KEP-5328).
func declaredFeatures(names []string) field.ErrorList {
	path := field.NewPath("status", "declaredFeatures")
	var errs field.ErrorList
	for i, name := range names {
		if i > 0 && name == names[i-1] {
			errs = append(errs, field.Duplicate(path.Index(i), name))
		}
		if i > 0 && name < names[i-1] {
			errs = append(errs, field.Invalid(path.Index(i), name, "list must be sorted alphabetically"))
		}
		if len(name) > validation.DNS1123SubdomainMaxLength {
			errs = append(errs, field.Invalid(path.Index(i), name, fmt.Sprintf("invalid feature name %q: must be no more than %d characters",
				name, validation.DNS1123SubdomainMaxLength)))
		} else if !isFeatureName(name) {
			errs = append(errs, field.Invalid(path.Index(i), name, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase "+
				"segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), "+
				"and contain only alphanumeric characters and slashes", name)))
		}
	}
	return errs
}

func isFeatureName(name string) bool {
	if name == "" || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		other := strings.ContainsFunc(part, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		})
		if part == "" || other {
			return false
		}
	}
	return true
}

// validateNodeUpdate looks at the node as at a new one and as at a changed
// one, as upstream does: some things are said twice.
func validateNodeUpdate(n, old *corev1.Node) field.ErrorList {
	return append(validateNode(n), validateNodeChange(n, old)...)
}

func validateNodeChange(n, old *corev1.Node) field.ErrorList {
	spec := field.NewPath("spec")
	errs := nodeResources(n)
	errs = append(errs, declaredFeatures(n.Status.DeclaredFeatures)...)
	errs = append(errs, uniqueAddresses(n)...)
	errs = append(errs, podCIDRsKept(n.Spec.PodCIDRs, old.Spec.PodCIDRs, spec.Child("podCIDRs"))...)
	errs = append(errs, forbidden(old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID,
		spec.Child("providerID"), `node updates may not change providerID except from "" to valid`)...)
	if n.Spec.ConfigSource != nil {
		errs = append(errs, configSource(n.Spec.ConfigSource, false, spec.Child("configSource"))...)
	}
	errs = append(errs, configStatus(n.Status.Config, field.NewPath("status", "config"))...)
	errs = append(errs, taints(n.Spec.Taints, field.NewPath("metadata", "taints"))...)
	return append(errs, forbidden(n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID,
		spec.Child("externalID"), "may not be updated")...)
}

func podCIDRsKept(is, was []string, at *field.Path) field.ErrorList {
	const why = `node updates may not change podCIDR except from "" to valid`
	if len(was) > 0 && len(is) != len(was) {
		return field.ErrorList{field.Forbidden(at, why)}
	}
	var errs field.ErrorList
	for i := range was {
		errs = append(errs, forbidden(is[i] != was[i], at, why)...)
	}
	return errs
}

func uniqueAddresses(n *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.NodeAddress]()
	for i, a := range n.Status.Addresses {
		if seen.Has(a) {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), validate.Shown(&a)))
		}
		seen.Insert(a)
	}
	return errs
}
