package controller_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/loadbalancer"
	"github.com/knarr-io/knarr/internal/testkit"
)

func TestLoadBalancersShareTheNodesPorts(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}},
	}})
	balanced := func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }
	addresses := func(name string) int {
		s, _ := get[*corev1.Service](t, c, "default", name)
		return len(s.Status.LoadBalancer.Ingress)
	}
	create(t, c, service("first", balanced))
	testkit.Eventually(t, soon, "the first has the node's address", func() bool { return addresses("first") == 1 })
	first, _ := get[*corev1.Service](t, c, "default", "first")
	if !slices.Contains(first.Finalizers, loadbalancer.Finalizer) {
		t.Errorf("finalizers %v", first.Finalizers)
	}

	create(t, c, service("second", balanced))
	testkit.Eventually(t, soon, "the second is told why it has none", func() bool {
		s, _ := get[*corev1.Service](t, c, "default", "second")
		return len(s.Status.Conditions) == 1 && strings.Contains(s.Status.Conditions[0].Message, "default/first")
	})
	testkit.Eventually(t, soon, "by an event too", func() bool {
		return slices.ContainsFunc(list[*corev1.Event](t, c, "default", nil), func(e *corev1.Event) bool {
			return e.InvolvedObject.Name == "second" && e.Reason == "SyncLoadBalancerFailed"
		})
	})
	edit(t, c, "default", "first", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	testkit.Eventually(t, soon, "the port changes hands", func() bool {
		first, _ := get[*corev1.Service](t, c, "default", "first")
		return addresses("second") == 1 && addresses("first") == 0 && len(first.Finalizers) == 0
	})
	second, _ := get[*corev1.Service](t, c, "default", "second")
	if len(second.Status.Conditions) != 0 {
		t.Errorf("conditions %v", second.Status.Conditions)
	}
	remove[*corev1.Service](t, c, "default", "second", metav1.DeletePropagationBackground)
	gone[*corev1.Service](t, c, "default", "second")
}
