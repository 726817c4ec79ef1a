package namespace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// found is what is left of one kind in a namespace.
type found struct {
	resource   schema.GroupResource
	count      int
	finalizers map[string]int // objects by finalizer
	err        error          // listing or deleting failed
}

// empty tells whether nothing is left anywhere and nothing failed.
func empty(all []found) bool {
	return !slices.ContainsFunc(all, func(f found) bool { return f.count > 0 || f.err != nil })
}

// planConditions are the namespace's conditions, which name what holds its
// deletion up, in upstream's words. Conditions of other types stay.
func planConditions(have []corev1.NamespaceCondition, all []found, now time.Time) []corev1.NamespaceCondition {
	out := slices.Clone(have)
	for _, c := range []corev1.NamespaceCondition{
		{Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionFalse, Reason: "ResourcesDiscovered", Message: "All resources successfully discovered"},
		{Type: corev1.NamespaceDeletionGVParsingFailure, Status: corev1.ConditionFalse, Reason: "ParsedGroupVersions", Message: "All legacy kube types successfully parsed"},
		contentFailure(all), contentRemaining(all), finalizersRemaining(all),
	} {
		out = set(out, c, now)
	}
	return out
}

func contentFailure(all []found) corev1.NamespaceCondition {
	var failed []string
	for _, f := range all {
		if f.err != nil {
			failed = append(failed, f.err.Error())
		}
	}
	if len(failed) == 0 {
		return corev1.NamespaceCondition{
			Type: corev1.NamespaceDeletionContentFailure, Status: corev1.ConditionFalse, Reason: "ContentDeleted",
			Message: "All content successfully deleted, may be waiting on finalization",
		}
	}
	slices.Sort(failed)
	return corev1.NamespaceCondition{
		Type: corev1.NamespaceDeletionContentFailure, Status: corev1.ConditionTrue, Reason: "ContentDeletionFailed",
		Message: fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(failed), strings.Join(failed, ", ")),
	}
}

func contentRemaining(all []found) corev1.NamespaceCondition {
	var left []string
	for _, f := range all {
		if f.count > 0 {
			left = append(left, fmt.Sprintf("%s.%s has %d resource instances", f.resource.Resource, f.resource.Group, f.count))
		}
	}
	if len(left) == 0 {
		return corev1.NamespaceCondition{
			Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionFalse, Reason: "ContentRemoved",
			Message: "All content successfully removed",
		}
	}
	slices.Sort(left)
	return corev1.NamespaceCondition{
		Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue, Reason: "SomeResourcesRemain",
		Message: "Some resources are remaining: " + strings.Join(left, ", "),
	}
}

func finalizersRemaining(all []found) corev1.NamespaceCondition {
	counts := map[string]int{}
	for _, f := range all {
		for name, n := range f.finalizers {
			counts[name] += n
		}
	}
	if len(counts) == 0 {
		return corev1.NamespaceCondition{
			Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionFalse, Reason: "ContentHasNoFinalizers",
			Message: "All content-preserving finalizers finished",
		}
	}
	var left []string
	for name, n := range counts {
		left = append(left, fmt.Sprintf("%s in %d resource instances", name, n))
	}
	slices.Sort(left)
	return corev1.NamespaceCondition{
		Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionTrue, Reason: "SomeFinalizersRemain",
		Message: "Some content in the namespace has finalizers remaining: " + strings.Join(left, ", "),
	}
}

// set replaces the condition of the type; its time of transition moves only
// when something in it changed.
func set(conditions []corev1.NamespaceCondition, c corev1.NamespaceCondition, now time.Time) []corev1.NamespaceCondition {
	c.LastTransitionTime = metav1.NewTime(now)
	for i, have := range conditions {
		if have.Type != c.Type {
			continue
		}
		if have.Status != c.Status || have.Reason != c.Reason || have.Message != c.Message {
			conditions[i] = c
		}
		return conditions
	}
	return append(conditions, c)
}
