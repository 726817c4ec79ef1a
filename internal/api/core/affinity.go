package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
)

func affinity(a *corev1.Affinity, path *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if n := a.NodeAffinity; n != nil {
		at := path.Child("nodeAffinity")
		if n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			errs = append(errs, nodeSelector(n.RequiredDuringSchedulingIgnoredDuringExecution, at.Child(required))...)
		}
		errs = append(errs, preferredNodes(n.PreferredDuringSchedulingIgnoredDuringExecution, at.Child(preferred))...)
	}
	if p := a.PodAffinity; p != nil {
		at := path.Child("podAffinity")
		errs = append(errs, podTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, at.Child(required))...)
		errs = append(errs, weightedPodTerms(p.PreferredDuringSchedulingIgnoredDuringExecution, at.Child(preferred))...)
	}
	if p := a.PodAntiAffinity; p != nil {
		at := path.Child("podAntiAffinity")
		errs = append(errs, podTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, at.Child(required))...)
		errs = append(errs, weightedPodTerms(p.PreferredDuringSchedulingIgnoredDuringExecution, at.Child(preferred))...)
	}
	return errs
}

// ValidateNodeSelector checks a selector of nodes by labels and names, and
// that nodes can have the labels' values.
func ValidateNodeSelector(s *corev1.NodeSelector, path *field.Path) field.ErrorList {
	errs := nodeSelector(s, path)
	for i := range s.NodeSelectorTerms {
		for j, r := range s.NodeSelectorTerms[i].MatchExpressions {
			at := path.Child("nodeSelectorTerms").Index(i).Child("matchExpressions").Index(j).Child("values")
			for n, value := range r.Values {
				errs = append(errs, validate.Each(validation.IsValidLabelValue(value), value, at.Index(n))...)
			}
		}
	}
	return errs
}

// valuesFit tells whether nodes can have all values of a selector's labels.
func valuesFit(s *corev1.NodeSelector) bool {
	return len(ValidateNodeSelector(s, nil)) == len(nodeSelector(s, nil))
}

func nodeSelector(s *corev1.NodeSelector, path *field.Path) field.ErrorList {
	at := path.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(at, "must have at least one node selector term")}
	}
	var errs field.ErrorList
	for i := range s.NodeSelectorTerms {
		errs = append(errs, nodeSelectorTerm(&s.NodeSelectorTerms[i], at.Index(i))...)
	}
	return errs
}

func nodeSelectorTerm(t *corev1.NodeSelectorTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range t.MatchExpressions {
		errs = append(errs, nodeExpression(&t.MatchExpressions[i], path.Child("matchExpressions").Index(i))...)
	}
	for i := range t.MatchFields {
		errs = append(errs, nodeField(&t.MatchFields[i], path.Child("matchFields").Index(i))...)
	}
	return errs
}

func nodeExpression(r *corev1.NodeSelectorRequirement, path *field.Path) field.ErrorList {
	values := path.Child("values")
	var errs field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'"))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		errs = append(errs, forbidden(len(r.Values) > 0, values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")...)
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	return append(errs, validate.LabelKey(r.Key, path.Child("key"))...)
}

func nodeField(r *corev1.NodeSelectorRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(path.Child("values"),
				"must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	if r.Key != metav1.ObjectNameField {
		return append(errs, field.Invalid(path.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, v := range r.Values {
		errs = append(errs, validate.Name(validate.Subdomain, v, path.Child("values").Index(i))...)
	}
	return errs
}

func weight(n int32, path *field.Path) field.ErrorList {
	if n > 0 && n <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("weight"), n, "must be in the range 1-100")}
}

func preferredNodes(terms []corev1.PreferredSchedulingTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range terms {
		errs = append(errs, weight(terms[i].Weight, path.Index(i))...)
		errs = append(errs, nodeSelectorTerm(&terms[i].Preference, path.Index(i).Child("preference"))...)
	}
	return errs
}

func podTerms(terms []corev1.PodAffinityTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range terms {
		errs = append(errs, podTerm(&terms[i], path.Index(i))...)
	}
	return errs
}

func weightedPodTerms(terms []corev1.WeightedPodAffinityTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range terms {
		errs = append(errs, weight(terms[i].Weight, path.Index(i))...)
		errs = append(errs, podTerm(&terms[i].PodAffinityTerm, path.Index(i).Child("podAffinityTerm"))...)
	}
	return errs
}

func podTerm(t *corev1.PodAffinityTerm, path *field.Path) field.ErrorList {
	errs := matchLabelKeys(t.MatchLabelKeys, t.MismatchLabelKeys, t.LabelSelector, path)
	errs = append(errs, validate.LabelSelector(t.LabelSelector, path.Child("labelSelector"))...)
	errs = append(errs, validate.LabelSelector(t.NamespaceSelector, path.Child("namespaceSelector"))...)
	for _, ns := range t.Namespaces {
		errs = append(errs, validate.Name(validate.Label, ns, path.Child("namespace"))...)
	}
	if t.TopologyKey == "" {
		errs = append(errs, field.Required(path.Child("topologyKey"), "can not be empty"))
	}
	return append(errs, validate.LabelKey(t.TopologyKey, path.Child("topologyKey"))...)
}

// matchLabelKeys checks the keys whose values come from the pod itself
// (KEP-3633, KEP-3243). The selector holds what was made of them already, so
// that a key that stands in it twice was the user's too.
func matchLabelKeys(match, mismatch []string, selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	errs := labelKeys(match, selector, path.Child("matchLabelKeys"))
	errs = append(errs, labelKeys(mismatch, selector, path.Child("mismatchLabelKeys"))...)
	if selector != nil {
		errs = append(errs, selectedTwice(match, selector, path)...)
	}
	for i, key := range match {
		if slices.Contains(mismatch, key) {
			errs = append(errs, field.Invalid(path.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	return errs
}

func labelKeys(keys []string, selector *metav1.LabelSelector, at *field.Path) field.ErrorList {
	switch {
	case len(keys) == 0:
		return nil
	case selector == nil:
		return field.ErrorList{field.Forbidden(at, "must not be specified when labelSelector is not set")}
	}
	var errs field.ErrorList
	for i, key := range keys {
		errs = append(errs, validate.LabelKey(key, at.Index(i))...)
	}
	return errs
}

func selectedTwice(match []string, selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	at := make(map[string]int, len(match))
	for i, key := range match {
		at[key] = i
	}
	seen := sets.KeySet(selector.MatchLabels)
	var errs field.ErrorList
	for _, e := range selector.MatchExpressions {
		if i, ok := at[e.Key]; ok && seen.Has(e.Key) {
			errs = append(errs, field.Invalid(path.Index(i), e.Key, "exists in both matchLabelKeys and labelSelector"))
		}
		seen.Insert(e.Key)
	}
	return errs
}
