package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

// Role is a set of permissions in a namespace.
func Role() *api.Kind {
	return api.Spec[*rbacv1.Role]{
		Group: group, Version: version, Name: "Role",
		Resource: "roles", Singular: "role",
		Namespaced: true,
		New:        func() *rbacv1.Role { return &rbacv1.Role{} },
		NewList:    func() runtime.Object { return &rbacv1.RoleList{} },
		Main: api.RulesOf[*rbacv1.Role]{
			MetaAgain:      true,
			NameRule:       nameRule,
			PrepareCreate:  func(r *rbacv1.Role) { r.Rules = orNil(r.Rules) },
			PrepareUpdate:  func(r, _ *rbacv1.Role) { r.Rules = orNil(r.Rules) },
			Validate:       func(r *rbacv1.Role) field.ErrorList { return validateRules(r.Rules, true) },
			ValidateUpdate: func(r, _ *rbacv1.Role) field.ErrorList { return validateRules(r.Rules, true) },
		},
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

// ClusterRole is a set of permissions in the whole cluster, or one that
// bindings grant in their namespace.
func ClusterRole() *api.Kind {
	return api.Spec[*rbacv1.ClusterRole]{
		Group: group, Version: version, Name: "ClusterRole",
		Resource: "clusterroles", Singular: "clusterrole",
		New:     func() *rbacv1.ClusterRole { return &rbacv1.ClusterRole{} },
		NewList: func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		Main: api.RulesOf[*rbacv1.ClusterRole]{
			MetaAgain:      true,
			NameRule:       nameRule,
			PrepareCreate:  func(r *rbacv1.ClusterRole) { r.Rules = orNil(r.Rules) },
			PrepareUpdate:  func(r, _ *rbacv1.ClusterRole) { r.Rules = orNil(r.Rules) },
			Validate:       validateClusterRole,
			ValidateUpdate: func(r, _ *rbacv1.ClusterRole) field.ErrorList { return validateClusterRole(r) },
		},
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

func validateClusterRole(r *rbacv1.ClusterRole) field.ErrorList {
	return append(validateRules(r.Rules, false), validateAggregation(r.AggregationRule)...)
}

// orNil makes no difference between no rules and an empty list, since
// upstream's storage keeps none.
func orNil(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	if len(rules) == 0 {
		return nil
	}
	return rules
}
