package builtin

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// world is a cache of the built-in kinds with the given objects.
func world(t *testing.T, objects ...api.Object) (admission.Chain, *catalog.Catalog) {
	t.Helper()
	ctx := context.Background()
	kinds := catalog.New()
	engine, err := disk.Open(ctx, disk.Options{Dir: "/", InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	held, err := cache.Open(ctx, engine, kinds.Kinds(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		held.Close()
		_ = engine.Close()
	})
	for _, obj := range append(objects, namespaceObject("n", corev1.NamespaceActive), account("n")) {
		if _, err := held.Of(kinds.TypeOf(obj)).Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	return Chain(Config{Catalog: kinds, Cache: held, Suffix: func() string { return "xxxxx" }}), kinds
}

func namespaceObject(name string, phase corev1.NamespacePhase) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
}

func account(namespace string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: namespace},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "reg"}}}
}

func pod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
}

func admit(t *testing.T, chain admission.Chain, kinds *catalog.Catalog, op admission.Operation, plural string, obj, old api.Object, who user.Info) error {
	t.Helper()
	k := kinds.Resource(schema.GroupVersionResource{Version: "v1", Resource: plural})
	a := &admission.Attributes{Operation: op, Kind: k, User: who, Warn: func(string) {}}
	if obj != nil {
		a.Object, a.Name, a.Namespace = obj, obj.GetName(), obj.GetNamespace()
	}
	if old != nil {
		a.Old, a.Name, a.Namespace = old, old.GetName(), old.GetNamespace()
	}
	if err := chain.Mutate(context.Background(), a); err != nil {
		return err
	}
	return chain.Validate(context.Background(), a)
}

var anyone = &user.DefaultInfo{Name: "anyone"}

func TestPodsGetWhatTheClusterGives(t *testing.T) {
	chain, kinds := world(t)
	p := pod()
	if err := admit(t, chain, kinds, admission.Create, "pods", p, nil, anyone); err != nil {
		t.Fatal(err)
	}
	c := p.Spec.Containers[0]
	switch {
	case p.Spec.ServiceAccountName != "default", p.Spec.DeprecatedServiceAccount != "default":
		t.Error("no service account")
	case len(p.Spec.Volumes) != 1 || p.Spec.Volumes[0].Name != "kube-api-access-xxxxx" || len(c.VolumeMounts) != 1:
		t.Errorf("token volume: %v, %v", p.Spec.Volumes, c.VolumeMounts)
	case len(p.Spec.ImagePullSecrets) != 1:
		t.Error("no pull secret of the account")
	case *p.Spec.Priority != 0 || *p.Spec.PreemptionPolicy != corev1.PreemptLowerPriority:
		t.Error("no priority")
	case len(p.Spec.Tolerations) != 2:
		t.Errorf("tolerations: %v", p.Spec.Tolerations)
	}
	again := p.DeepCopy()
	if err := admit(t, chain, kinds, admission.Create, "pods", again, nil, anyone); err != nil || len(again.Spec.Volumes) != 1 || len(again.Spec.Tolerations) != 2 {
		t.Errorf("a second pass changes more: %v, %v", again.Spec, err)
	}
	declined, no := pod(), false
	declined.Spec.AutomountServiceAccountToken = &no
	if err := admit(t, chain, kinds, admission.Create, "pods", declined, nil, anyone); err != nil || len(declined.Spec.Volumes) != 0 {
		t.Errorf("a declined token is mounted: %v, %v", declined.Spec.Volumes, err)
	}
}

func TestRefusals(t *testing.T) {
	chain, kinds := world(t, namespaceObject("going", corev1.NamespaceTerminating), account("going"))
	in := func(namespace string) *corev1.Pod { p := pod(); p.Namespace = namespace; return p }
	unknown := pod()
	unknown.Spec.ServiceAccountName = "who"
	classy := pod()
	classy.Spec.PriorityClassName = "none"
	for want, err := range map[string]error{
		`namespaces "nowhere" not found`:    admit(t, chain, kinds, admission.Create, "pods", in("nowhere"), nil, anyone),
		"because it is being terminated":    admit(t, chain, kinds, admission.Create, "pods", in("going"), nil, anyone),
		`serviceaccount "who" not found`:    admit(t, chain, kinds, admission.Create, "pods", unknown, nil, anyone),
		"no PriorityClass with name none":   admit(t, chain, kinds, admission.Create, "pods", classy, nil, anyone),
		"this namespace may not be deleted": admit(t, chain, kinds, admission.Delete, "namespaces", nil, namespaceObject("default", corev1.NamespaceActive), anyone),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestLimitRanges(t *testing.T) {
	quantity := func(s string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(s)}
	}
	chain, kinds := world(t, &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l", Namespace: "n"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Min: quantity("100m"), Max: quantity("1"), Default: quantity("500m"), DefaultRequest: quantity("200m"),
	}}}})
	p := pod()
	if err := admit(t, chain, kinds, admission.Create, "pods", p, nil, anyone); err != nil {
		t.Fatal(err)
	}
	if got := p.Annotations[limitRangerAnnotation]; got != "LimitRanger plugin set: cpu request for container c; cpu limit for container c" {
		t.Errorf("annotation %q", got)
	}
	big := pod()
	big.Spec.Containers[0].Resources.Limits = quantity("2")
	err := admit(t, chain, kinds, admission.Create, "pods", big, nil, anyone)
	if err == nil || !strings.Contains(err.Error(), "maximum cpu usage per Container is 1, but limit is 2") {
		t.Errorf("got %v", err)
	}
}

func TestNodesKeepToThemselves(t *testing.T) {
	chain, kinds := world(t)
	agent := &user.DefaultInfo{Name: "system:node:one", Groups: []string{"system:nodes"}}
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	labelled := node("one")
	labelled.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
	elsewhere := pod()
	elsewhere.Spec.NodeName = "two"
	for what, tt := range map[string]struct {
		err     error
		refused bool
	}{
		"its own node":       {admit(t, chain, kinds, admission.Create, "nodes", node("one"), nil, agent), false},
		"another node":       {admit(t, chain, kinds, admission.Create, "nodes", node("two"), nil, agent), true},
		"a reserved label":   {admit(t, chain, kinds, admission.Update, "nodes", labelled, node("one"), agent), true},
		"a pod of its own":   {admit(t, chain, kinds, admission.Create, "pods", pod(), nil, agent), true},
		"another node's pod": {admit(t, chain, kinds, admission.Delete, "pods", nil, elsewhere, agent), true},
	} {
		if (tt.err != nil) != tt.refused {
			t.Errorf("%s: %v", what, tt.err)
		}
	}
	n := node("new")
	if err := admit(t, chain, kinds, admission.Create, "nodes", n, nil, anyone); err != nil || len(n.Spec.Taints) != 1 {
		t.Errorf("a new node has taints %v, %v", n.Spec.Taints, err)
	}
}

func TestPodSecurity(t *testing.T) {
	strict := namespaceObject("strict", corev1.NamespaceActive)
	strict.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}
	chain, kinds := world(t, strict, account("strict"))
	plain := pod()
	plain.Namespace = "strict"
	if err := admit(t, chain, kinds, admission.Create, "pods", plain.DeepCopy(), nil, anyone); err != nil {
		t.Fatal(err)
	}
	plain.Spec.HostNetwork = true
	err := admit(t, chain, kinds, admission.Create, "pods", plain, nil, anyone)
	if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`) {
		t.Fatalf("got %v", err)
	}
	bogus := namespaceObject("bogus", corev1.NamespaceActive)
	bogus.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "bogus"}
	err = admit(t, chain, kinds, admission.Create, "namespaces", bogus, nil, anyone)
	if err == nil || !strings.Contains(err.Error(), "must be one of privileged, baseline, restricted") {
		t.Fatalf("got %v", err)
	}
}
