package bootstrap

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func config(w *authtest.World) Config {
	return Config{
		Kinds: w.Kinds, Objects: w.Objects, ServiceNetwork: netip.MustParsePrefix("10.96.0.0/16"),
		Address: netip.MustParseAddrPort("192.0.2.7:6443"), ClientCA: []byte("ca"), FrontProxyCA: []byte("front"),
		Logger: slog.New(slog.DiscardHandler),
	}
}

func run(t *testing.T, c Config) {
	t.Helper()
	if err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func get[T api.Object](t *testing.T, w *authtest.World, kind T, namespace, name string) (T, *cache.Item) {
	t.Helper()
	item, ok := w.Resource(kind).Get(namespace, name)
	if !ok {
		t.Fatalf("no %T %s", kind, name)
	}
	return item.Object.(T), item
}

func TestFirstObjects(t *testing.T) {
	w := authtest.New(t)
	run(t, config(w))
	for kind, want := range map[api.Object]int{
		&rbacv1.ClusterRole{}: 78, &rbacv1.ClusterRoleBinding{}: 56, &rbacv1.Role{}: 7, &rbacv1.RoleBinding{}: 9, &corev1.Namespace{}: 4,
		&flowcontrolv1.FlowSchema{}: 11, &flowcontrolv1.PriorityLevelConfiguration{}: 8,
	} {
		if got := w.Resource(kind).Snapshot().Len(); got != want {
			t.Errorf("%d of %T, want %d", got, kind, want)
		}
	}
	admin, _ := get(t, w, &rbacv1.ClusterRole{}, "", "cluster-admin")
	if admin.UID == "" || admin.CreationTimestamp.IsZero() || admin.Labels[bootstrapLabel] != "rbac-defaults" || admin.Annotations[autoUpdate] != "true" {
		t.Errorf("metadata: %+v", admin.ObjectMeta)
	}
	service, _ := get(t, w, &corev1.Service{}, "default", "kubernetes")
	if service.Spec.ClusterIP != "10.96.0.1" || service.Spec.Ports[0].TargetPort.IntValue() != 6443 {
		t.Errorf("service: %+v", service.Spec)
	}
	space, _ := get(t, w, &corev1.Namespace{}, "", "kube-system")
	if space.Status.Phase != corev1.NamespaceActive || space.Spec.Finalizers[0] != corev1.FinalizerKubernetes || space.Labels["kubernetes.io/metadata.name"] != "kube-system" {
		t.Errorf("namespace: %+v", space)
	}
	trust, _ := get(t, w, &corev1.ConfigMap{}, "kube-system", "extension-apiserver-authentication")
	if trust.Data["client-ca-file"] != "ca" || trust.Data["requestheader-client-ca-file"] != "front" || trust.Data["requestheader-username-headers"] != `["X-Remote-User"]` {
		t.Errorf("whom to trust: %v", trust.Data)
	}
}

func TestSecondRunWritesNothing(t *testing.T) {
	w := authtest.New(t)
	run(t, config(w))
	before := w.Objects.Revision()
	run(t, config(w))
	if after := w.Objects.Revision(); after != before {
		t.Errorf("%d writes", after-before)
	}
}

func TestAddressFollows(t *testing.T) {
	w := authtest.New(t)
	run(t, config(w))
	moved := config(w)
	moved.Address = netip.MustParseAddrPort("192.0.2.9:7443")
	run(t, moved)
	slice, _ := get(t, w, &discoveryv1.EndpointSlice{}, "default", "kubernetes")
	if slice.Endpoints[0].Addresses[0] != "192.0.2.9" || *slice.Ports[0].Port != 7443 || slice.Labels[discoveryv1.LabelServiceName] != "kubernetes" {
		t.Errorf("slice: %+v", slice)
	}
	service, _ := get(t, w, &corev1.Service{}, "default", "kubernetes")
	if service.Spec.Ports[0].TargetPort.IntValue() != 7443 || service.Spec.ClusterIP != "10.96.0.1" {
		t.Errorf("service: %+v", service.Spec)
	}
}

func TestReconcilingAddsAndKeeps(t *testing.T) {
	w := authtest.New(t)
	run(t, config(w))
	own := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"example.org"}, Resources: []string{"things"}}
	_, dns := get(t, w, &rbacv1.ClusterRole{}, "", "system:kube-dns")
	w.Update(dns, func(o api.Object) { o.(*rbacv1.ClusterRole).Rules = []rbacv1.PolicyRule{own} })
	_, heapster := get(t, w, &rbacv1.ClusterRole{}, "", "system:heapster")
	w.Update(heapster, func(o api.Object) {
		o.(*rbacv1.ClusterRole).Rules = nil
		o.SetAnnotations(map[string]string{autoUpdate: "false"})
	})
	_, view := get(t, w, &rbacv1.ClusterRole{}, "", "view")
	w.Update(view, func(o api.Object) {
		o.(*rbacv1.ClusterRole).Rules = []rbacv1.PolicyRule{own}
		o.(*rbacv1.ClusterRole).AggregationRule.ClusterRoleSelectors[0].MatchLabels = map[string]string{"a": "b"}
	})
	_, binding := get(t, w, &rbacv1.ClusterRoleBinding{}, "", "system:discovery")
	w.Update(binding, func(o api.Object) {
		o.(*rbacv1.ClusterRoleBinding).Subjects = []rbacv1.Subject{{Kind: "User", Name: "x"}}
	})
	_, rebound := get(t, w, &rbacv1.ClusterRoleBinding{}, "", "system:basic-user")
	w.Update(rebound, func(o api.Object) { o.(*rbacv1.ClusterRoleBinding).RoleRef.Name = "other" })
	run(t, config(w))

	role, _ := get(t, w, &rbacv1.ClusterRole{}, "", "system:kube-dns")
	if len(role.Rules) != 5 || !cmp.Equal(role.Rules[0], own) {
		t.Errorf("system:kube-dns: %+v", role.Rules)
	}
	role, _ = get(t, w, &rbacv1.ClusterRole{}, "", "system:heapster")
	if len(role.Rules) != 0 {
		t.Errorf("an opted-out role was changed: %+v", role.Rules)
	}
	role, _ = get(t, w, &rbacv1.ClusterRole{}, "", "view")
	if len(role.AggregationRule.ClusterRoleSelectors) != 2 || len(role.Rules) != 1 {
		t.Errorf("view: %+v", role)
	}
	b, _ := get(t, w, &rbacv1.ClusterRoleBinding{}, "", "system:discovery")
	if len(b.Subjects) != 2 {
		t.Errorf("system:discovery: %+v", b.Subjects)
	}
	b, _ = get(t, w, &rbacv1.ClusterRoleBinding{}, "", "system:basic-user")
	if b.RoleRef.Name != "system:basic-user" {
		t.Errorf("system:basic-user: %+v", b.RoleRef)
	}
}

func TestKeepPutsBack(t *testing.T) {
	w := authtest.New(t)
	run(t, config(w))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Keep(ctx, config(w)) }()
	for _, one := range []api.Object{
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-public"}},
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}},
	} {
		resource := w.Resource(one)
		watch, err := resource.Watch(w.Objects.Revision())
		if err != nil {
			t.Fatal(err)
		}
		item, _ := resource.Get(one.GetNamespace(), one.GetName())
		w.Delete(item)
		for back := false; !back; {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			events, err := watch.Next(ctx)
			cancel()
			if err != nil {
				t.Fatalf("%s did not come back: %v", one.GetName(), err)
			}
			for _, ev := range events {
				back = back || ev.Type == cache.Added
			}
		}
		watch.Stop()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPolicyText(t *testing.T) {
	objects, err := Policy()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, obj := range objects {
		id := obj.GetNamespace() + "/" + obj.GetName()
		switch o := obj.(type) {
		case *rbacv1.ClusterRole:
			id = "clusterrole " + id
			if len(o.Rules) == 0 && o.AggregationRule == nil {
				t.Errorf("%s grants nothing", id)
			}
		case *rbacv1.ClusterRoleBinding:
			id = "clusterrolebinding " + id
			if !seen["clusterrole /"+o.RoleRef.Name] {
				t.Errorf("%s names a role that does not exist before it", id)
			}
		case *rbacv1.Role:
			id = "role " + id
		case *rbacv1.RoleBinding:
			if !seen["role "+o.Namespace+"/"+o.RoleRef.Name] && !(o.RoleRef.Kind == "ClusterRole" && seen["clusterrole /"+o.RoleRef.Name]) {
				t.Errorf("%s names a role that does not exist before it", id)
			}
			id = "rolebinding " + id
		}
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
	if obj := objects[5].(*rbacv1.ClusterRole); obj.Name != "admin" || !cmp.Equal(obj.AggregationRule.ClusterRoleSelectors, []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateTo + "admin": "true"}}}) {
		t.Errorf("admin: %+v", obj)
	}
	for _, bad := range []string{"clusterrole", "  get core pods", "bound x", "role a"} {
		if err := (&parser{}).line(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := authtest.New(b)
		b.StartTimer()
		if err := Run(b.Context(), config(w)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFlowSpecsAreMended(t *testing.T) {
	wanted := mandatoryFlow()[0].(*flowcontrolv1.PriorityLevelConfiguration)
	changed := wanted.DeepCopy()
	changed.Spec.Limited.NominalConcurrencyShares = nil
	if got := fixMandatory(changed, wanted); got == nil || !equality.Semantic.DeepEqual(got.(*flowcontrolv1.PriorityLevelConfiguration).Spec, wanted.Spec) {
		t.Errorf("mandatory spec is not put back: %+v", got)
	}
	if got := fixSuggested(changed, wanted); got == nil {
		t.Error("a suggested object that follows updates is not mended")
	}
	changed.Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = "false"
	if got := fixSuggested(changed, wanted); got != nil {
		t.Error("a suggested object that somebody took over is changed")
	}
	delete(changed.Annotations, flowcontrolv1.AutoUpdateAnnotationKey)
	changed.Generation = 2
	if got := fixSuggested(changed, wanted); got != nil {
		t.Error("a suggested object that somebody changed is changed")
	}
}
