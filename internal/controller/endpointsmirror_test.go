package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
)

func TestHandMadeEndpointsAreMirrored(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	slices := func() []*discoveryv1.EndpointSlice {
		return list[*discoveryv1.EndpointSlice](t, c, "default", map[string]string{
			discoveryv1.LabelServiceName: "db", discoveryv1.LabelManagedBy: "endpointslicemirroring-controller.k8s.io",
		})
	}
	addresses := func(want ...string) func() bool {
		return func() bool {
			all := slices()
			if len(all) != 1 || len(all[0].Endpoints) != len(want) {
				return false
			}
			for i, ep := range all[0].Endpoints {
				if ep.Addresses[0] != want[i] {
					return false
				}
			}
			return true
		}
	}
	none := func() bool { return len(slices()) == 0 }
	create(t, c, service("db", func(s *corev1.Service) { s.Spec.Selector = nil }))
	create(t, c, &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", Labels: map[string]string{"team": "green"}},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Port: 5432}}}},
	})
	testkit.Eventually(t, soon, "the address is mirrored", addresses("192.0.2.1"))
	first := slices()[0]
	if first.Labels["team"] != "green" || *first.Ports[0].Port != 5432 || !*first.Endpoints[0].Conditions.Ready {
		t.Errorf("slice: %+v", first)
	}

	edit(t, c, "default", "db", func(e *corev1.Endpoints) {
		e.Subsets[0].Addresses = []corev1.EndpointAddress{{IP: "192.0.2.1"}, {IP: "192.0.2.2"}}
	})
	testkit.Eventually(t, soon, "an added address follows", addresses("192.0.2.1", "192.0.2.2"))
	if slices()[0].Name != first.Name {
		t.Error("the slice was replaced where it could be changed")
	}

	edit(t, c, "default", "db", func(e *corev1.Endpoints) { e.Labels[discoveryv1.LabelSkipMirror] = "true" })
	testkit.Eventually(t, soon, "the label takes the slice away", none)
	edit(t, c, "default", "db", func(e *corev1.Endpoints) { delete(e.Labels, discoveryv1.LabelSkipMirror) })
	testkit.Eventually(t, soon, "and brings it back", addresses("192.0.2.1", "192.0.2.2"))

	remove[*corev1.Endpoints](t, c, "default", "db", metav1.DeletePropagationOrphan)
	testkit.Eventually(t, soon, "the slice goes with its Endpoints", none)
}

func TestEndpointsOfServicesWithSelectorAreNotMirrored(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1})
	create(t, c, service("web"))
	create(t, c, deployment("web", 1))
	testkit.Eventually(t, soon, "the pod serves", func() bool { return counts(endpoints(t, c, "web"), serves) == 1 })
	testkit.Eventually(t, soon, "Endpoints show it", func() bool {
		ep, _ := get[*corev1.Endpoints](t, c, "default", "web")
		return ep != nil && len(ep.Subsets) == 1
	})
	for _, s := range list[*discoveryv1.EndpointSlice](t, c, "default", nil) {
		if s.Labels[discoveryv1.LabelManagedBy] != "endpointslice-controller.k8s.io" && s.Name != "kubernetes" {
			t.Errorf("slice %s is managed by %q", s.Name, s.Labels[discoveryv1.LabelManagedBy])
		}
	}
}
