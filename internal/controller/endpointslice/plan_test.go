package endpointslice

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

func service(change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "svc", UID: "svc"},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.96.0.7", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Selector: map[string]string{"a": "b"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("web")}},
		},
	}
	for _, fn := range change {
		fn(s)
	}
	return s
}

func pod(n int, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("p%03d", n), UID: types.UID(fmt.Sprint("u", n))},
		Spec: corev1.PodSpec{
			NodeName:   fmt.Sprint("node-", n%3),
			Containers: []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.244.%d.%d", n/250, n%250+1),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, fn := range change {
		fn(p)
	}
	return p
}

func noZone(string) string { return "" }

func unready(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }

func deleted(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now }

func TestConditions(t *testing.T) {
	publish := func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }
	cases := []struct {
		name                        string
		svc                         *corev1.Service
		pod                         *corev1.Pod
		there                       bool
		ready, serving, terminating bool
	}{
		{"ready", service(), pod(1), true, true, true, false},
		{"not ready", service(), pod(1, unready), true, false, false, false},
		{"deleted", service(), pod(1, deleted), true, false, true, true},
		{"deleted and not ready", service(), pod(1, deleted, unready), true, false, false, true},
		{"published although not ready", service(publish), pod(1, unready), true, true, false, false},
		{"finished", service(), pod(1, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), false, false, false, false},
		{"without address", service(), pod(1, func(p *corev1.Pod) { p.Status.PodIP = "" }), false, false, false, false},
		{"of the other family", service(), pod(1, func(p *corev1.Pod) { p.Status.PodIP = "fd00::1" }), false, false, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			groups := desired(c.svc, []*corev1.Pod{c.pod}, noZone)
			if !c.there {
				if len(groups) != 0 {
					t.Fatalf("groups: %v", groups)
				}
				return
			}
			for _, g := range groups {
				got := g.endpoints[0].Conditions
				if *got.Ready != c.ready || *got.Serving != c.serving || *got.Terminating != c.terminating {
					t.Errorf("ready %t serving %t terminating %t", *got.Ready, *got.Serving, *got.Terminating)
				}
			}
		})
	}
}

func TestNamedPortsThatDifferMakeSlicesOfTheirOwn(t *testing.T) {
	other := func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 9090 }
	without := func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil }
	groups := desired(service(), []*corev1.Pod{pod(1), pod(2, other), pod(3, without), pod(4)}, noZone)
	got := map[string]int{}
	for _, g := range groups {
		port := "none"
		if len(g.ports) > 0 {
			port = fmt.Sprint(*g.ports[0].Port)
		}
		got[port] = len(g.endpoints)
	}
	if diff := cmp.Diff(map[string]int{"8080": 2, "9090": 1, "none": 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestHintsNeedEveryZone(t *testing.T) {
	close := func(s *corev1.Service) {
		d := corev1.ServiceTrafficDistributionPreferClose
		s.Spec.TrafficDistribution = &d
	}
	zones := func(node string) string { return map[string]string{"node-0": "a", "node-1": "b"}[node] }
	hinted := func(pods ...*corev1.Pod) int {
		n := 0
		for _, g := range desired(service(close), pods, zones) {
			for _, ep := range g.endpoints {
				if ep.Hints != nil && ep.Hints.ForZones[0].Name == *ep.Zone {
					n++
				}
			}
		}
		return n
	}
	if n := hinted(pod(0), pod(1)); n != 2 {
		t.Errorf("%d hints, want 2", n)
	}
	if n := hinted(pod(0), pod(1), pod(2)); n != 0 {
		t.Errorf("%d hints although a zone is unknown", n)
	}
}

// apply is what the API makes of a plan.
func (p plan) apply(existing []*discoveryv1.EndpointSlice, serial *int) []*discoveryv1.EndpointSlice {
	byName := map[string]*discoveryv1.EndpointSlice{}
	for _, s := range existing {
		byName[s.Name] = s
	}
	for _, s := range p.remove {
		delete(byName, s.Name)
	}
	for _, s := range p.update {
		byName[s.Name] = s
	}
	for _, s := range p.create {
		*serial++
		s.Name = fmt.Sprintf("%s%05d", s.GenerateName, *serial)
		byName[s.Name] = s
	}
	var out []*discoveryv1.EndpointSlice
	for _, s := range byName {
		out = append(out, s)
	}
	return sortedSlices(out)
}

// TestSlicesHoldExactlyThePods: after any series of changes every pod is in
// one slice once, no slice is over its bound, a second run changes nothing,
// and there is always a slice.
func TestSlicesHoldExactlyThePods(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		svc := service()
		var existing []*discoveryv1.EndpointSlice
		serial := 0
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			first := rapid.IntRange(0, 200).Draw(t, "first")
			count := rapid.IntRange(0, 260).Draw(t, "count")
			var pods []*corev1.Pod
			for n := first; n < first+count; n++ {
				switch rapid.IntRange(0, 9).Draw(t, "kind") {
				case 0:
					pods = append(pods, pod(n, unready))
				case 1:
					pods = append(pods, pod(n, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 9090 }))
				default:
					pods = append(pods, pod(n))
				}
			}
			groups := desired(svc, pods, noZone)
			existing = reconcileSlices(svc, groups, existing).apply(existing, &serial)
			seen := map[string]bool{}
			for _, s := range existing {
				if len(s.Endpoints) > mostEndpoints {
					t.Fatalf("%s holds %d", s.Name, len(s.Endpoints))
				}
				for _, ep := range s.Endpoints {
					if seen[ep.TargetRef.Name] {
						t.Fatalf("%s is there twice", ep.TargetRef.Name)
					}
					seen[ep.TargetRef.Name] = true
				}
			}
			if len(seen) != len(pods) || len(existing) == 0 {
				t.Fatalf("%d pods in %d slices, want %d pods", len(seen), len(existing), len(pods))
			}
			if again := reconcileSlices(svc, desired(svc, pods, noZone), existing); len(again.create)+len(again.update)+len(again.remove) != 0 {
				t.Fatalf("a second run writes: %d, %d, %d", len(again.create), len(again.update), len(again.remove))
			}
		}
	})
}

func TestOneChangeWritesOneSlice(t *testing.T) {
	svc, serial := service(), 0
	var pods []*corev1.Pod
	for n := range 350 {
		pods = append(pods, pod(n))
	}
	existing := reconcileSlices(svc, desired(svc, pods, noZone), nil).apply(nil, &serial)
	pods[17] = pod(17, unready)
	p := reconcileSlices(svc, desired(svc, pods, noZone), existing)
	if len(p.create) != 0 || len(p.update) != 1 || len(p.remove) != 0 {
		t.Errorf("writes: %d, %d, %d", len(p.create), len(p.update), len(p.remove))
	}
}

// TestSlicesOfAFormerServiceAreTakenOver: a Service that is deleted and made
// again finds the slices of the one before, which garbage collection would take.
func TestSlicesOfAFormerServiceAreTakenOver(t *testing.T) {
	former, svc := service(func(s *corev1.Service) { s.UID = "former" }), service()
	for what, pods := range map[string][]*corev1.Pod{"with pods": {pod(1), pod(2)}, "without": nil} {
		serial := 0
		existing := reconcileSlices(former, desired(former, pods, noZone), nil).apply(nil, &serial)
		p := reconcileSlices(svc, desired(svc, pods, noZone), existing)
		if len(p.create)+len(p.remove) != 0 || len(p.update) != 1 {
			t.Fatalf("%s: %d created, %d updated, %d removed, want one updated", what, len(p.create), len(p.update), len(p.remove))
		}
		if refs := p.update[0].OwnerReferences; len(refs) != 1 || refs[0].UID != svc.UID {
			t.Errorf("%s: the slice is owned by %v", what, refs)
		}
		p = reconcileSlices(svc, desired(svc, pods, noZone), p.apply(existing, &serial))
		if len(p.create)+len(p.update)+len(p.remove) != 0 {
			t.Errorf("%s: it is written again: %+v", what, p)
		}
	}
}
