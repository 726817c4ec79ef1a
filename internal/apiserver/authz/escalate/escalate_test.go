package escalate

import (
	"log/slog"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/apiserver/authz"
)

func rule(verbs, group, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ","), ResourceNames: names}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func role(name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Rules: rules}
}

func bind(name, roleKind, roleName, who string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: roleKind, Name: roleName},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: who}},
	}
}

func checker(t *testing.T) *Checker {
	t.Helper()
	w := authtest.New(t,
		clusterRole("holds", rule("get,list", "", "pods,configmaps")),
		clusterRole("mighty", rule("*", "*", "*")),
		clusterRole("may-escalate", rule("escalate", rbacv1.GroupName, "roles")),
		clusterRole("may-bind", rule("bind", rbacv1.GroupName, "clusterroles", "mighty")),
		bind("a", "ClusterRole", "holds", "jane"),
		bind("b", "ClusterRole", "may-escalate", "eve"),
		bind("c", "ClusterRole", "may-bind", "bob"),
	)
	z, err := authz.New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return New(z, z.RBAC())
}

func TestCheck(t *testing.T) {
	c := checker(t)
	labelled := role("r", rule("delete", "", "pods"))
	labelled.Labels = map[string]string{"a": "b"}
	collected := bind("x", "ClusterRole", "mighty", "jane")
	collected.Finalizers = nil
	held := bind("x", "ClusterRole", "mighty", "jane")
	held.Finalizers = []string{"f"}
	for name, one := range map[string]struct {
		who      string
		obj, old api.Object
		want     string // part of the error; empty: allowed
	}{
		"a role within what she holds":    {"jane", role("r", rule("get", "", "pods")), nil, ""},
		"a role beyond":                   {"jane", role("r", rule("get,delete,update", "", "pods,secrets")), nil, `roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["dev"]) is attempting to grant RBAC permissions not currently held:` + "\n" + `{APIGroups:[""], Resources:["pods"], Verbs:["delete" "update"]}` + "\n" + `{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete" "update"]}`},
		"an update that grants no more":   {"jane", labelled, role("r", rule("delete", "", "pods")), ""},
		"with the verb escalate":          {"eve", role("r", rule("*", "*", "*")), nil, ""},
		"escalate is for roles alone":     {"eve", clusterRole("r", rule("*", "*", "*")), nil, "not currently held"},
		"a binding within":                {"jane", bind("x", "ClusterRole", "holds", "joe"), nil, ""},
		"a binding beyond":                {"jane", bind("x", "ClusterRole", "mighty", "joe"), nil, `rolebindings.rbac.authorization.k8s.io "x" is forbidden: user "jane" (groups=["dev"])`},
		"with the verb bind":              {"bob", bind("x", "ClusterRole", "mighty", "joe"), nil, ""},
		"bind names its roles":            {"bob", bind("x", "ClusterRole", "holds", "joe"), nil, "not currently held"},
		"a binding to nothing":            {"jane", bind("x", "Role", "none", "joe"), nil, `roles.rbac.authorization.k8s.io "none" not found`},
		"other subjects of a known grant": {"jane", bind("x", "ClusterRole", "mighty", "jane"), bind("x", "ClusterRole", "mighty", "joe"), "not currently held"},
		"the garbage collector's update":  {"jane", collected, held, ""},
		"an aggregated role": {"jane", &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "agg"}, AggregationRule: &rbacv1.AggregationRule{
			ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}},
		}}, nil, "must have cluster-admin privileges"},
	} {
		err := c.Check(t.Context(), &user.DefaultInfo{Name: one.who, Groups: []string{"dev"}}, one.obj, one.old)
		switch {
		case one.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)):
			t.Errorf("%s: %v, want %s", name, err, one.want)
		case err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
			t.Errorf("%s: not a status: %v", name, err)
		}
	}
	masters := &user.DefaultInfo{Name: "root", Groups: []string{user.SystemPrivilegedGroup}}
	if err := c.Check(t.Context(), masters, clusterRole("r", rule("*", "*", "*")), nil); err != nil {
		t.Error(err)
	}
}
