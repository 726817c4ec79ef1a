package rbac

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func role(namespace, name string, rules ...rbacv1.PolicyRule) api.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	if namespace == "" {
		return &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	}
	return &rbacv1.Role{ObjectMeta: meta, Rules: rules}
}

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","),
		Resources: strings.Split(resources, ","), ResourceNames: names,
	}
}

func bind(namespace, name, roleKind, roleName string, subjects ...rbacv1.Subject) api.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: roleKind, Name: roleName}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

func subject(kind, name string) rbacv1.Subject { return rbacv1.Subject{Kind: kind, Name: name} }

func newIndex(t *testing.T, w *authtest.World) *Index {
	t.Helper()
	x, err := New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return x
}

func ask(t *testing.T, x *Index, name, verb, group, resource, namespace, object string) (bool, string) {
	t.Helper()
	resource, sub, _ := strings.Cut(resource, "/")
	u := &user.DefaultInfo{Name: name, Groups: []string{"dev", "system:authenticated"}}
	decision, reason, err := x.Authorize(t.Context(), authorizer.AttributesRecord{
		User: u, Verb: verb, APIGroup: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: object, ResourceRequest: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return decision == authorizer.DecisionAllow, reason
}

func TestAuthorize(t *testing.T) {
	w := authtest.New(t,
		role("", "cluster-reader", rule("get,list", "", "pods,pods/log"), rule("*", "apps", "*/scale")),
		role("", "everything", rule("*", "*", "*")),
		role("ns", "reader", rule("get,list", "", "configmaps"), rule("get", "", "secrets", "one")),
		bind("", "a", "ClusterRole", "cluster-reader", subject("User", "jane")),
		bind("ns", "b", "Role", "reader", subject("User", "jane"), subject("Group", "dev")),
		bind("ns", "c", "ClusterRole", "everything", rbacv1.Subject{Kind: "ServiceAccount", Name: "bot"}),
		bind("ns", "d", "ClusterRole", "everything", rbacv1.Subject{Kind: "ServiceAccount", Name: "far", Namespace: "other"}),
		bind("ns", "e", "Role", "missing", subject("User", "lost")),
	)
	x := newIndex(t, w)
	for _, c := range []struct {
		who, verb, group, resource, namespace, name string
		allowed                                     bool
		reason                                      string
	}{
		{"jane", "list", "", "pods", "", "", true, `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "cluster-reader" to User "jane"`},
		{"jane", "get", "", "pods/log", "any", "p", true, `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "cluster-reader" to User "jane"`},
		{"jane", "get", "", "pods/exec", "any", "p", false, ""},
		{"jane", "delete", "", "pods", "any", "p", false, ""},
		{"jane", "update", "apps", "deployments/scale", "x", "d", true, `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "cluster-reader" to User "jane"`},
		{"jane", "update", "apps", "deployments", "x", "d", false, ""},
		{"joe", "list", "", "configmaps", "ns", "", true, `RBAC: allowed by RoleBinding "b/ns" of Role "reader" to Group "dev"`},
		{"joe", "list", "", "configmaps", "", "", false, ""},
		{"joe", "get", "", "secrets", "ns", "one", true, `RBAC: allowed by RoleBinding "b/ns" of Role "reader" to Group "dev"`},
		{"joe", "get", "", "secrets", "ns", "two", false, ""},
		{"joe", "list", "", "secrets", "ns", "", false, ""},
		{"system:serviceaccount:ns:bot", "delete", "batch", "jobs", "ns", "j", true, `RBAC: allowed by RoleBinding "c/ns" of ClusterRole "everything" to ServiceAccount "bot/"`},
		{"system:serviceaccount:ns:bot", "delete", "batch", "jobs", "other", "j", false, ""},
		{"system:serviceaccount:other:far", "get", "", "pods", "ns", "p", true, `RBAC: allowed by RoleBinding "d/ns" of ClusterRole "everything" to ServiceAccount "far/other"`},
		{"lost", "get", "", "pods", "ns", "p", false, `RBAC: role.rbac.authorization.k8s.io "missing" not found`},
	} {
		allowed, reason := ask(t, x, c.who, c.verb, c.group, c.resource, c.namespace, c.name)
		if allowed != c.allowed || reason != c.reason {
			t.Errorf("%s %s %s/%s in %q: %v %q, want %v %q", c.who, c.verb, c.resource, c.name, c.namespace, allowed, reason, c.allowed, c.reason)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/api", "/api", true}, {"/api", "/api/v1", false}, {"/api/*", "/api/v1", true}, {"/api/*", "/api", false},
		{"*", "/anything", true}, {"/health*", "/healthz", true}, {"/a*b", "/axb", false},
	} {
		r := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{c.pattern}}
		if got := Allows(&r, authorizer.AttributesRecord{Verb: "get", Path: c.path}); got != c.want {
			t.Errorf("%s against %s: %v", c.path, c.pattern, got)
		}
	}
}

func TestFollowsChanges(t *testing.T) {
	w := authtest.New(t, role("ns", "reader", rule("get", "", "pods")))
	x := newIndex(t, w)
	may := func(name string) func() bool {
		return func() bool {
			allowed, _ := ask(t, x, name, "get", "", "pods", "ns", "p")
			return allowed
		}
	}
	not := func(f func() bool) func() bool { return func() bool { return !f() } }
	binding := w.Create(bind("ns", "b", "Role", "reader", subject("User", "jane")))
	await.Until(t, time.Minute, "jane is bound", may("jane"))
	binding = w.Update(binding, func(o api.Object) {
		o.(*rbacv1.RoleBinding).Subjects = []rbacv1.Subject{subject("User", "joe")}
	})
	await.Until(t, time.Minute, "joe is bound", may("joe"))
	await.Until(t, time.Minute, "jane is not", not(may("jane")))
	w.Delete(binding)
	await.Until(t, time.Minute, "nobody is", not(may("joe")))
	if n := len(x.bindings.byScope); n != 0 {
		t.Errorf("%d scopes are left", n)
	}
}

func TestRolesApplyAtOnce(t *testing.T) {
	w := authtest.New(t, bind("", "b", "ClusterRole", "later", subject("User", "jane")))
	x := newIndex(t, w)
	if allowed, reason := ask(t, x, "jane", "get", "", "pods", "ns", "p"); allowed || !strings.Contains(reason, `clusterrole.rbac.authorization.k8s.io "later" not found`) {
		t.Errorf("%v %q", allowed, reason)
	}
	item := w.Create(role("", "later", rule("get", "", "pods")))
	if allowed, _ := ask(t, x, "jane", "get", "", "pods", "ns", "p"); !allowed {
		t.Error("the new role does not count")
	}
	w.Update(item, func(o api.Object) { o.(*rbacv1.ClusterRole).Rules = nil })
	if allowed, _ := ask(t, x, "jane", "get", "", "pods", "ns", "p"); allowed {
		t.Error("the old rules still count")
	}
}

func TestRulesFor(t *testing.T) {
	w := authtest.New(t,
		role("", "all", rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/version"}}),
		bind("", "b", "ClusterRole", "all", subject("User", "jane")),
	)
	x := newIndex(t, w)
	resources, paths, incomplete, err := x.RulesFor(t.Context(), &user.DefaultInfo{Name: "jane"}, "ns")
	if err != nil || incomplete || len(resources) != 1 || len(paths) != 1 {
		t.Errorf("%v %v %v %v", resources, paths, incomplete, err)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	w := authtest.New(b, role("", "r", rule("get", "", "configmaps"), rule("list", "apps", "deployments"), rule("get", "", "pods")))
	for i := range 100 {
		name := strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
		w.Create(bind("ns", name, "ClusterRole", "r", subject("User", name), subject("Group", "dev")))
	}
	x, err := New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	a := authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: "jane", Groups: []string{"dev"}}, Verb: "get", Resource: "pods", Namespace: "ns", ResourceRequest: true,
	}
	for b.Loop() {
		if d, _, _ := x.Authorize(context.Background(), a); d != authorizer.DecisionAllow {
			b.Fatal("refused")
		}
	}
}
