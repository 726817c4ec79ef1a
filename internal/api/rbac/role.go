package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

// Role is a set of permissions in a namespace.
func Role() *api.Kind {
	return api.Spec[*rbacv1.Role]{
		Group: group, Version: version, Name: "Role",
		Resource: "roles", Singular: "role",
		Namespaced:          true,
		New:                 func() *rbacv1.Role { return &rbacv1.Role{} },
		NewList:             func() runtime.Object { return &rbacv1.RoleList{} },
		Main:                api.RulesOf[*rbacv1.Role]{NameRule: nameRule},
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

// ClusterRole is a set of permissions in the whole cluster, or one that
// bindings grant in their namespace.
func ClusterRole() *api.Kind {
	return api.Spec[*rbacv1.ClusterRole]{
		Group: group, Version: version, Name: "ClusterRole",
		Resource: "clusterroles", Singular: "clusterrole",
		New:                 func() *rbacv1.ClusterRole { return &rbacv1.ClusterRole{} },
		NewList:             func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		Main:                api.RulesOf[*rbacv1.ClusterRole]{NameRule: nameRule},
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}
