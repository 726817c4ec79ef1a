package endpointsmirror

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func addresses(ips ...string) []corev1.EndpointAddress {
	var out []corev1.EndpointAddress
	for _, ip := range ips {
		out = append(out, corev1.EndpointAddress{IP: ip})
	}
	return out
}

func ports(numbers ...int32) []corev1.EndpointPort {
	var out []corev1.EndpointPort
	for _, n := range numbers {
		out = append(out, corev1.EndpointPort{Name: fmt.Sprint("p", n), Port: n, Protocol: corev1.ProtocolTCP})
	}
	return out
}

func handMade(subsets ...corev1.EndpointSubset) *corev1.Endpoints {
	return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "u"}, Subsets: subsets}
}

// show renders groups as text: family ports: addresses.
func show(w wish) []string {
	var out []string
	for _, g := range w.groups {
		var p, a []string
		for _, port := range g.ports {
			p = append(p, fmt.Sprint(*port.Port))
		}
		for _, ep := range g.endpoints {
			text := ep.Addresses[0]
			if !*ep.Conditions.Ready {
				text += "!"
			}
			a = append(a, text)
		}
		out = append(out, fmt.Sprintf("%s %s: %s", g.family, strings.Join(p, ","), strings.Join(a, " ")))
	}
	return out
}

func TestDesired(t *testing.T) {
	for _, tc := range []struct {
		name             string
		subsets          []corev1.EndpointSubset
		want             []string
		skipped, invalid int
	}{
		{name: "nothing"},
		{name: "ports without addresses", subsets: []corev1.EndpointSubset{{Ports: ports(80)}}},
		{
			name:    "both families, not ready last",
			subsets: []corev1.EndpointSubset{{Ports: ports(80), Addresses: addresses("10.0.0.1", "fd00::1"), NotReadyAddresses: addresses("10.0.0.2")}},
			want:    []string{"IPv4 80: 10.0.0.1 10.0.0.2!", "IPv6 80: fd00::1"},
		},
		{
			name: "same ports in another order are one slice",
			subsets: []corev1.EndpointSubset{
				{Ports: ports(80, 81), Addresses: addresses("10.0.0.1")}, {Ports: ports(81, 80), Addresses: addresses("10.0.0.2")},
			},
			want: []string{"IPv4 80,81: 10.0.0.1 10.0.0.2"},
		},
		{
			name:    "not ready wins",
			subsets: []corev1.EndpointSubset{{Ports: ports(80), Addresses: addresses("10.0.0.1")}, {Ports: ports(80), NotReadyAddresses: addresses("10.0.0.1")}},
			want:    []string{"IPv4 80: 10.0.0.1!"},
		},
		{
			name:    "what is no address is left out",
			subsets: []corev1.EndpointSubset{{Ports: ports(80), Addresses: addresses("nonsense", "10.0.0.1")}},
			want:    []string{"IPv4 80: 10.0.0.1"}, skipped: 1, invalid: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := desired(handMade(tc.subsets...))
			if diff := cmp.Diff(tc.want, show(got)); diff != "" {
				t.Error(diff)
			}
			if got.skipped != tc.skipped || got.invalid != tc.invalid {
				t.Errorf("skipped %d, invalid %d; want %d, %d", got.skipped, got.invalid, tc.skipped, tc.invalid)
			}
		})
	}
}

func TestSubsetIsCutAtItsMost(t *testing.T) {
	var ips []string
	for i := range mostAddresses + 7 {
		ips = append(ips, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
	}
	got := desired(handMade(corev1.EndpointSubset{Ports: ports(80), Addresses: addresses(ips...)}))
	if len(got.groups) != 1 || len(got.groups[0].endpoints) != mostAddresses || got.skipped != 7 || got.invalid != 0 {
		t.Errorf("%d groups, skipped %d, invalid %d", len(got.groups), got.skipped, got.invalid)
	}
}

func TestWanted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*corev1.Endpoints)
		want   bool
	}{
		{"plain", func(*corev1.Endpoints) {}, true},
		{"skip label", func(e *corev1.Endpoints) { e.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"} }, false},
		{"skip label that says no", func(e *corev1.Endpoints) { e.Labels = map[string]string{discoveryv1.LabelSkipMirror: "false"} }, true},
		{"a lock", func(e *corev1.Endpoints) { e.Annotations = map[string]string{leaderAnnotation: "x"} }, false},
	} {
		ep := handMade()
		if tc.change(ep); wanted(ep) != tc.want {
			t.Errorf("%s: wanted %t", tc.name, !tc.want)
		}
	}
}

// stored is a slice as it would come back from the server.
func stored(name string, ep *corev1.Endpoints) *discoveryv1.EndpointSlice {
	s := sliceOf(ep, desired(ep).groups[0])
	s.Name = name
	return s
}

func TestPlan(t *testing.T) {
	web := handMade(corev1.EndpointSubset{Ports: ports(80), Addresses: addresses("10.0.0.1")})
	six := handMade(corev1.EndpointSubset{Ports: ports(80), Addresses: addresses("fd00::1")})
	moved := handMade(corev1.EndpointSubset{Ports: ports(81), Addresses: addresses("10.0.0.1")})
	labelled := web.DeepCopy()
	labelled.Labels = map[string]string{"team": "blue"}
	for _, tc := range []struct {
		name                   string
		ep                     *corev1.Endpoints
		existing               []*discoveryv1.EndpointSlice
		create, update, remove int
	}{
		{name: "new", ep: web, create: 1},
		{name: "as wanted", ep: web, existing: []*discoveryv1.EndpointSlice{stored("a", web)}},
		{name: "doubled", ep: web, existing: []*discoveryv1.EndpointSlice{stored("a", web), stored("b", web)}, remove: 1},
		{name: "other ports reuse the slice", ep: moved, existing: []*discoveryv1.EndpointSlice{stored("a", web)}, update: 1},
		{name: "other family does not", ep: six, existing: []*discoveryv1.EndpointSlice{stored("a", web)}, create: 1, remove: 1},
		{name: "labels", ep: labelled, existing: []*discoveryv1.EndpointSlice{stored("a", web)}, update: 1},
		{name: "emptied", ep: handMade(), existing: []*discoveryv1.EndpointSlice{stored("a", web)}, remove: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := planFor(tc.ep, desired(tc.ep), tc.existing)
			if len(p.create) != tc.create || len(p.update) != tc.update || len(p.remove) != tc.remove {
				t.Errorf("create %d, update %d, remove %d; want %d, %d, %d",
					len(p.create), len(p.update), len(p.remove), tc.create, tc.update, tc.remove)
			}
		})
	}
}

func TestSliceTakesLabelsAndAnnotations(t *testing.T) {
	ep := handMade(corev1.EndpointSubset{Ports: ports(80), Addresses: addresses("10.0.0.1")})
	ep.Labels = map[string]string{"team": "blue"}
	ep.Annotations = map[string]string{"note": "x", corev1.EndpointsLastChangeTriggerTime: "now", corev1.LastAppliedConfigAnnotation: "{}"}
	s := stored("a", ep)
	want := map[string]string{"team": "blue", discoveryv1.LabelServiceName: "db", discoveryv1.LabelManagedBy: managedBy}
	if diff := cmp.Diff(want, s.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"note": "x"}, s.Annotations); diff != "" {
		t.Error(diff)
	}
	if ref := metav1.GetControllerOf(s); ref == nil || ref.Kind != "Endpoints" || ref.Name != "db" {
		t.Errorf("owner: %+v", ref)
	}
	if len(ep.Labels) != 1 || len(ep.Annotations) != 3 {
		t.Error("the Endpoints themselves were changed")
	}
}

// TestSlicesOfFormerEndpointsAreTakenOver: Endpoints that are deleted and made
// again find the slices of those before, which garbage collection would take.
func TestSlicesOfFormerEndpointsAreTakenOver(t *testing.T) {
	subset := corev1.EndpointSubset{Addresses: addresses("10.0.0.1"), Ports: ports(80)}
	former, ep := handMade(subset), handMade(subset)
	former.UID = "former"
	p := planFor(ep, desired(ep), []*discoveryv1.EndpointSlice{stored("s", former)})
	if len(p.create)+len(p.remove) != 0 || len(p.update) != 1 || p.update[0].OwnerReferences[0].UID != ep.UID {
		t.Errorf("%+v, want the slice to be owned by the new Endpoints", p)
	}
}
