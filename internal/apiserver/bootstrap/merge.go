package bootstrap

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/knarr-io/knarr/internal/api"
)

// merge gives the object that should take the place of existing: with what
// the default policy adds, and without taking anything away. It is nil where
// nothing is missing, or where the object's annotation opts out of updates.
func merge(existing, wanted api.Object) api.Object {
	if existing.GetAnnotations()[autoUpdate] == "false" {
		return nil
	}
	out := existing.DeepCopyObject().(api.Object)
	out.SetLabels(addMissing(out.GetLabels(), wanted.GetLabels()))
	out.SetAnnotations(addMissing(out.GetAnnotations(), wanted.GetAnnotations()))
	switch o := out.(type) {
	case *rbacv1.ClusterRole:
		mergeClusterRole(o, wanted.(*rbacv1.ClusterRole))
	case *rbacv1.Role:
		o.Rules = addRules(o.Rules, wanted.(*rbacv1.Role).Rules)
	case *rbacv1.ClusterRoleBinding:
		o.Subjects = addSubjects(o.Subjects, wanted.(*rbacv1.ClusterRoleBinding).Subjects)
	case *rbacv1.RoleBinding:
		o.Subjects = addSubjects(o.Subjects, wanted.(*rbacv1.RoleBinding).Subjects)
	}
	if equality.Semantic.DeepEqual(existing, out) {
		return nil
	}
	return out
}

func mergeClusterRole(o, wanted *rbacv1.ClusterRole) {
	if wanted.AggregationRule == nil {
		o.Rules = addRules(o.Rules, wanted.Rules)
		return
	}
	if o.AggregationRule == nil {
		o.AggregationRule = &rbacv1.AggregationRule{}
	}
	for _, selector := range wanted.AggregationRule.ClusterRoleSelectors {
		has := slices.ContainsFunc(o.AggregationRule.ClusterRoleSelectors, func(s metaSelector) bool {
			return equality.Semantic.DeepEqual(s, selector)
		})
		if !has {
			o.AggregationRule.ClusterRoleSelectors = append(o.AggregationRule.ClusterRoleSelectors, selector)
		}
	}
}

// rebound tells that a binding names another role than the policy's. A
// reference cannot be changed, so that binding is made anew.
func rebound(existing, wanted api.Object) bool {
	switch o := existing.(type) {
	case *rbacv1.ClusterRoleBinding:
		return o.RoleRef != wanted.(*rbacv1.ClusterRoleBinding).RoleRef
	case *rbacv1.RoleBinding:
		return o.RoleRef != wanted.(*rbacv1.RoleBinding).RoleRef
	}
	return false
}

func addRules(have, want []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	_, missing := validation.Covers(have, want)
	return append(have, missing...)
}

func addSubjects(have, want []rbacv1.Subject) []rbacv1.Subject {
	for _, s := range want {
		if !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	return have
}

func addMissing(have, want map[string]string) map[string]string {
	for key, value := range want {
		if _, ok := have[key]; ok {
			continue
		}
		if have == nil {
			have = map[string]string{}
		}
		have[key] = value
	}
	return have
}
