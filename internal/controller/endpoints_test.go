package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func service(name string, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"team": "blue"}},
		Spec:       corev1.ServiceSpec{Selector: labelsOf(name), Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}
	for _, fn := range change {
		fn(s)
	}
	return s
}

// endpoints shows all endpoints of a Service as text, sorted.
func endpoints(t *testing.T, c *testkit.Cluster, name string) []string {
	t.Helper()
	var out []string
	for _, slice := range list[*discoveryv1.EndpointSlice](t, c, "default", map[string]string{discoveryv1.LabelServiceName: name}) {
		for _, ep := range slice.Endpoints {
			out = append(out, fmt.Sprintf("ready=%t serving=%t terminating=%t", *ep.Conditions.Ready, *ep.Conditions.Serving, *ep.Conditions.Terminating))
		}
	}
	slices.Sort(out)
	return out
}

// onlySlice waits until a Service has one slice: the empty one of a Service
// without pods goes after the first with endpoints has come.
func onlySlice(t *testing.T, c *testkit.Cluster, name string) *discoveryv1.EndpointSlice {
	t.Helper()
	var all []*discoveryv1.EndpointSlice
	await.Until(t, soon, "one slice of "+name, func() bool {
		all = list[*discoveryv1.EndpointSlice](t, c, "default", map[string]string{discoveryv1.LabelServiceName: name})
		return len(all) == 1
	})
	return all[0]
}

func counts(all []string, what string) int {
	n := 0
	for _, s := range all {
		if s == what {
			n++
		}
	}
	return n
}

const (
	serves = "ready=true serving=true terminating=false"
	leaves = "ready=false serving=true terminating=true"
)

func TestSlicesFollowPods(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	create(t, c, service("web"))
	create(t, c, deployment("web", 3))
	await.Until(t, soon, "three endpoints serve", func() bool { return counts(endpoints(t, c, "web"), serves) == 3 })
	slice := onlySlice(t, c, "web")
	if !strings.HasPrefix(slice.Name, "web-") || slice.Labels["team"] != "blue" ||
		slice.Labels[discoveryv1.LabelManagedBy] != "endpointslice-controller.k8s.io" || slice.AddressType != discoveryv1.AddressTypeIPv4 ||
		len(slice.Ports) != 1 || *slice.Ports[0].Port != 8080 || *slice.Ports[0].Protocol != corev1.ProtocolTCP {
		t.Errorf("slice: %+v", slice)
	}
	ep, _ := get[*corev1.Endpoints](t, c, "default", "web")
	await.Until(t, soon, "Endpoints show them too", func() bool {
		ep, _ = get[*corev1.Endpoints](t, c, "default", "web")
		return ep != nil && len(ep.Subsets) == 1 && len(ep.Subsets[0].Addresses) == 3 && ep.Subsets[0].Ports[0].Port == 8080
	})

	pod := list[*corev1.Pod](t, c, "default", labelsOf("web"))[0]
	c.Fleet.Silence(pod.Spec.NodeName, true) // its pods linger when they are deleted
	remove[*corev1.Pod](t, c, "default", pod.Name, metav1.DeletePropagationBackground)
	await.Until(t, soon, "the deleted pod's endpoint leaves", func() bool { return counts(endpoints(t, c, "web"), leaves) == 1 })
	c.Fleet.Silence(pod.Spec.NodeName, false)
	await.Until(t, soon, "it is replaced", func() bool {
		all := endpoints(t, c, "web")
		return len(all) == 3 && counts(all, serves) == 3
	})
	remove[*corev1.Service](t, c, "default", "web", metav1.DeletePropagationBackground)
	await.Until(t, soon, "slices and Endpoints go with the Service", func() bool {
		_, there := get[*corev1.Endpoints](t, c, "default", "web")
		return !there && len(list[*discoveryv1.EndpointSlice](t, c, "default", map[string]string{discoveryv1.LabelServiceName: "web"})) == 0
	})
}

func TestLargeServiceIsSpreadOverSlices(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 5})
	create(t, c, service("web"))
	create(t, c, deployment("web", 250))
	await.Until(t, 2*soon, "all endpoints serve", func() bool { return counts(endpoints(t, c, "web"), serves) == 250 })
	all := list[*discoveryv1.EndpointSlice](t, c, "default", map[string]string{discoveryv1.LabelServiceName: "web"})
	for _, s := range all {
		if len(s.Endpoints) > 100 {
			t.Errorf("%s holds %d endpoints", s.Name, len(s.Endpoints))
		}
	}
	if len(all) > 5 {
		t.Errorf("%d slices for 250 endpoints", len(all))
	}
}
