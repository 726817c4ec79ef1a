package selection

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/reconcile"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

func someLabels(t *rapid.T, least int) map[string]string {
	out := map[string]string{}
	for i := range rapid.IntRange(least, 3).Draw(t, "labels") {
		out[fmt.Sprint("k", i)] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "value")
	}
	return out
}

// TestChangesNameTheServicesConcerned: a pod's change names exactly the
// Services that select it before or after.
func TestChangesNameTheServicesConcerned(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		m := New()
		services := map[string]map[string]string{}
		for i := range rapid.IntRange(1, 6).Draw(t, "services") {
			name := fmt.Sprint("s", i)
			services[name] = someLabels(t, 1)
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.ServiceSpec{Selector: services[name]}}
			m.setSelector(svc)
		}
		var old *corev1.Pod
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			var next *corev1.Pod
			if rapid.IntRange(0, 4).Draw(t, "deleted") > 0 {
				next = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: someLabels(t, 0)}}
			}
			want := map[string]bool{}
			for name, selector := range services {
				if old != nil && matches(selector, old.Labels) || next != nil && matches(selector, next.Labels) {
					want[name] = true
				}
			}
			got := map[string]bool{}
			for _, key := range m.SetPod(old, next) {
				got[key.Name] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
			for name, selector := range services {
				member := slices.Contains(m.names(reconcile.Key{Namespace: "ns", Name: name}), "p")
				if member != (next != nil && matches(selector, next.Labels)) {
					t.Fatalf("%s: member %t", name, member)
				}
			}
			old = next
		}
		for name := range maps.Clone(services) {
			m.DropService(reconcile.Key{Namespace: "ns", Name: name})
		}
		if len(m.mu.services)+len(m.mu.byPair) != 0 {
			t.Fatal("dropped Services are still known")
		}
	})
}

func TestTargetPort(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{
			{Ports: []corev1.ContainerPort{{Name: "once", ContainerPort: 1}}},
			{RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "sidecar", ContainerPort: 2}}},
		},
		Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
			{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {Name: "web", ContainerPort: 8080, Protocol: corev1.ProtocolTCP},
		}}},
	}}
	for _, c := range []struct {
		port corev1.ServicePort
		want int32
		ok   bool
	}{
		{corev1.ServicePort{Port: 80}, 80, true},
		{corev1.ServicePort{Port: 80, TargetPort: intstr.FromInt32(9090)}, 9090, true},
		{corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("web")}, 8080, true},
		{corev1.ServicePort{Port: 53, TargetPort: intstr.FromString("dns")}, 0, false},
		{corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromString("dns")}, 53, true},
		{corev1.ServicePort{Port: 1, TargetPort: intstr.FromString("sidecar")}, 2, true},
		{corev1.ServicePort{Port: 1, TargetPort: intstr.FromString("once")}, 0, false},
	} {
		if got, ok := TargetPort(pod, &c.port); got != c.want || ok != c.ok {
			t.Errorf("%v: %d, %t", c.port.TargetPort, got, ok)
		}
	}
}
