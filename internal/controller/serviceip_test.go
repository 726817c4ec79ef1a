package controller_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func TestDeletedAddressIsRecordedAgain(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	svc := create(t, c, service("web"))
	before, recorded := get[*networkingv1.IPAddress](t, c, "", svc.Spec.ClusterIP)
	if !recorded {
		t.Fatal("the address of a new Service is not recorded")
	}
	remove[*networkingv1.IPAddress](t, c, "", svc.Spec.ClusterIP, metav1.DeletePropagationBackground)
	testkit.Eventually(t, soon, "the address is recorded again", func() bool {
		a, there := get[*networkingv1.IPAddress](t, c, "", svc.Spec.ClusterIP)
		return there && a.UID != before.UID && a.Spec.ParentRef.Name == "web"
	})
	testkit.Eventually(t, soon, "an event tells of it", func() bool {
		return slices.ContainsFunc(list[*corev1.Event](t, c, "default", nil), func(e *corev1.Event) bool { return e.Reason == "ClusterIPNotAllocated" })
	})
	remove[*corev1.Service](t, c, "default", "web", metav1.DeletePropagationBackground)
	gone[*networkingv1.IPAddress](t, c, "", svc.Spec.ClusterIP)
}

func TestSecondServiceRange(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "second"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.112.0.0/24"}}})
	ready := func(want metav1.ConditionStatus) func() bool {
		return func() bool {
			r, there := get[*networkingv1.ServiceCIDR](t, c, "", "second")
			return there && meta.IsStatusConditionPresentAndEqual(r.Status.Conditions, "Ready", want)
		}
	}
	testkit.Eventually(t, soon, "the range is ready", ready(metav1.ConditionTrue))
	create(t, c, service("web", func(s *corev1.Service) { s.Spec.ClusterIP = "10.112.0.9" }))
	testkit.Eventually(t, soon, "the informer knows the address", func() bool {
		_, known := client.InformerFor[*networkingv1.IPAddress](c.Informers).Get("", "10.112.0.9")
		return known
	})
	remove[*networkingv1.ServiceCIDR](t, c, "", "second", metav1.DeletePropagationBackground)
	testkit.Eventually(t, soon, "an address in use keeps the range", ready(metav1.ConditionFalse))
}
