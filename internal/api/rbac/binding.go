package rbac

import (
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// RoleBinding grants a role, or a cluster role's rules, in a namespace.
func RoleBinding() *api.Kind {
	return api.Spec[*rbacv1.RoleBinding]{
		Group: group, Version: version, Name: "RoleBinding",
		Resource: "rolebindings", Singular: "rolebinding",
		Namespaced: true,
		New:        func() *rbacv1.RoleBinding { return &rbacv1.RoleBinding{} },
		NewList:    func() runtime.Object { return &rbacv1.RoleBindingList{} },
		Main: api.RulesOf[*rbacv1.RoleBinding]{
			MetaAgain: true,
			NameRule:  nameRule,
			Default:   func(b *rbacv1.RoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
			Validate:  validateRoleBinding,
			ValidateUpdate: func(b, old *rbacv1.RoleBinding) field.ErrorList {
				return append(validateRoleBinding(b), sameRoleRef(b.RoleRef, old.RoleRef)...)
			},
		},
		Columns: bindingColumns("roleBinding", column.Doc(rbacv1.RoleBinding{}, "roleRef")),
		Row: func(b *rbacv1.RoleBinding, now time.Time) []any {
			return append([]any{b.Name, roleCell(b.RoleRef), column.Since(b.CreationTimestamp, now)}, subjectCells(b.Subjects)...)
		},
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

// ClusterRoleBinding grants a cluster role in the whole cluster.
func ClusterRoleBinding() *api.Kind {
	return api.Spec[*rbacv1.ClusterRoleBinding]{
		Group: group, Version: version, Name: "ClusterRoleBinding",
		Resource: "clusterrolebindings", Singular: "clusterrolebinding",
		New:     func() *rbacv1.ClusterRoleBinding { return &rbacv1.ClusterRoleBinding{} },
		NewList: func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		Main: api.RulesOf[*rbacv1.ClusterRoleBinding]{
			MetaAgain: true,
			NameRule:  nameRule,
			Default:   func(b *rbacv1.ClusterRoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
			Validate:  validateClusterRoleBinding,
			ValidateUpdate: func(b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
				return append(validateClusterRoleBinding(b), sameRoleRef(b.RoleRef, old.RoleRef)...)
			},
		},
		Columns: bindingColumns("clusterRoleBinding", column.Doc(rbacv1.ClusterRoleBinding{}, "roleRef")),
		Row: func(b *rbacv1.ClusterRoleBinding, now time.Time) []any {
			return append([]any{b.Name, roleCell(b.RoleRef), column.Since(b.CreationTimestamp, now)}, subjectCells(b.Subjects)...)
		},
		UnconditionalUpdate: true, CreateOnUpdate: true,
	}.Kind()
}

func bindingColumns(of, roleDoc string) []api.Column {
	// The column is older than the sentence that ends the field's documentation.
	roleDoc = strings.TrimSuffix(roleDoc, " This field is immutable.")
	return []api.Column{
		column.Name(), column.Text("Role", roleDoc), column.Age(),
		column.Wide(column.Text("Users", "Users in the "+of)),
		column.Wide(column.Text("Groups", "Groups in the "+of)),
		column.Wide(column.Text("ServiceAccounts", "ServiceAccounts in the "+of)),
	}
}

func roleCell(ref rbacv1.RoleRef) string { return ref.Kind + "/" + ref.Name }

func subjectCells(subjects []rbacv1.Subject) []any {
	var users, groups, accounts []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	join := func(l []string) string { return strings.Join(l, ", ") }
	return []any{join(users), join(groups), join(accounts)}
}

func validateRoleBinding(b *rbacv1.RoleBinding) field.ErrorList {
	return append(validateRoleRef(&b.RoleRef, "Role", "ClusterRole"), validateSubjects(b.Subjects, true)...)
}

func validateClusterRoleBinding(b *rbacv1.ClusterRoleBinding) field.ErrorList {
	return append(validateRoleRef(&b.RoleRef, "ClusterRole"), validateSubjects(b.Subjects, false)...)
}
