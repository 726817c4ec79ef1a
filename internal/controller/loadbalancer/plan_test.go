package loadbalancer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// balanced is a Service made at the given second that asks for TCP ports.
func balanced(name string, second int, ports ...int32) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Unix(int64(second), 0)),
	}}
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	for _, p := range ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Protocol: corev1.ProtocolTCP, Port: p})
	}
	return svc
}

// world is a set of Services that are decided about one after the other.
type world struct {
	services  map[string]*corev1.Service
	used      map[port]string
	addresses []string
}

func newWorld(services ...*corev1.Service) *world {
	w := &world{services: map[string]*corev1.Service{}, used: map[port]string{}, addresses: []string{"192.0.2.1"}}
	for _, s := range services {
		w.services[s.Name] = s
	}
	return w
}

func (w *world) view() view {
	return view{
		rivals: func(p port) (out []*corev1.Service) {
			for _, s := range w.services {
				if wants(s) && slices.Contains(portsOf(s), p) {
					out = append(out, s)
				}
			}
			return out
		},
		user:      func(_ *corev1.Service, p port) string { return w.used[p] },
		addresses: w.addresses,
	}
}

func (w *world) decide(name string) outcome {
	out := plan(w.services[name], w.view())
	if out.next != nil {
		w.services[name] = out.next
	}
	return out
}

// served are the Services with addresses, sorted.
func (w *world) served() string {
	var out []string
	for name, s := range w.services {
		if len(s.Status.LoadBalancer.Ingress) > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestWhoHasAPortKeepsIt(t *testing.T) {
	w := newWorld(balanced("young", 2, 80))
	if out := w.decide("young"); out.conflict != "" || w.served() != "young" {
		t.Fatalf("served %q, conflict %q", w.served(), out.conflict)
	}
	w.services["old"] = balanced("old", 1, 80, 443)
	out := w.decide("old")
	if want := "port TCP/80 of the nodes is in use by Service ns/young"; out.conflict != want {
		t.Errorf("conflict %q, want %q", out.conflict, want)
	}
	c := meta.FindStatusCondition(w.services["old"].Status.Conditions, corev1.LoadBalancerPortsError)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != reasonConflict {
		t.Errorf("condition %+v", c)
	}
	// A Service that waits for one port keeps nobody from another one.
	w.services["third"] = balanced("third", 3, 443)
	w.decide("third")
	if w.served() != "third young" {
		t.Errorf("served %q", w.served())
	}
	delete(w.services, "young")
	delete(w.services, "third")
	w.decide("old")
	if w.served() != "old" || meta.FindStatusCondition(w.services["old"].Status.Conditions, corev1.LoadBalancerPortsError) != nil {
		t.Errorf("served %q, conditions %v", w.served(), w.services["old"].Status.Conditions)
	}
}

func TestOthersWhoUseAPort(t *testing.T) {
	w := newWorld(balanced("web", 1, 22))
	w.used[port{corev1.ProtocolTCP, 22}] = "the program sshd (pid 7)"
	if out := w.decide("web"); !strings.Contains(out.conflict, "sshd") || w.served() != "" {
		t.Errorf("served %q, conflict %q", w.served(), out.conflict)
	}
	clear(w.used)
	w.decide("web")
	w.used[port{corev1.ProtocolTCP, 22}] = "a host port of Pod ns/late"
	if w.decide("web"); w.served() != "web" {
		t.Error("a Service that had the port first lost it")
	}
}

func TestTakingAddressesBack(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*corev1.Service)
		cleared bool
	}{
		{"type", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }, true},
		{"deletion", func(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{Time: time.Unix(9, 0)} }, true},
		{"class", func(s *corev1.Service) { class := "example.com/lb"; s.Spec.LoadBalancerClass = &class }, false},
	} {
		w := newWorld(balanced("web", 1, 80))
		w.decide("web")
		changed := w.services["web"].DeepCopy()
		changed.Finalizers = append(changed.Finalizers, "example.com/mine")
		tc.change(changed)
		w.services["web"] = changed
		w.decide("web")
		got := w.services["web"]
		if cleared := len(got.Status.LoadBalancer.Ingress) == 0; cleared != tc.cleared {
			t.Errorf("%s: addresses cleared: %t", tc.name, cleared)
		}
		if released := !slices.Contains(got.Finalizers, Finalizer); released != tc.cleared || !slices.Contains(got.Finalizers, "example.com/mine") {
			t.Errorf("%s: finalizers %v", tc.name, got.Finalizers)
		}
	}
}

func TestOwnClassIsServedAndNothingIsWrittenTwice(t *testing.T) {
	svc := balanced("web", 1, 80)
	class := Class
	svc.Spec.LoadBalancerClass = &class
	w := newWorld(svc)
	w.decide("web")
	in := w.services["web"].Status.LoadBalancer.Ingress
	if len(in) != 1 || in[0].IP != "192.0.2.1" || *in[0].IPMode != corev1.LoadBalancerIPModeVIP || in[0].Ports[0].Port != 80 {
		t.Errorf("ingress %+v", in)
	}
	if out := w.decide("web"); out.next != nil {
		t.Errorf("written again: %+v", out.next.Status)
	}
}

func node(name, address string, ready bool) *corev1.Node {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}, Status: corev1.NodeStatus{
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}},
	}}
}

func TestAddresses(t *testing.T) {
	a, b, c := node("a", "192.0.2.1", true), node("b", "192.0.2.2", true), node("c", "192.0.2.3", false)
	hidden, outside := node("d", "192.0.2.4", true), node("e", "10.0.0.5", true)
	hidden.Labels[corev1.LabelNodeExcludeBalancers] = ""
	outside.Status.Addresses = append(outside.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "198.51.100.5"})
	onB, ready := "b", true
	slices := []*discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{NodeName: &onB, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}}}
	for _, tc := range []struct {
		name   string
		policy corev1.ServiceExternalTrafficPolicy
		nodes  []*corev1.Node
		slices []*discoveryv1.EndpointSlice
		want   string
	}{
		{"none", "", nil, nil, "[]"},
		{"ready ones by name", "", []*corev1.Node{c, b, a}, nil, "[192.0.2.1 192.0.2.2]"},
		{"none is ready", "", []*corev1.Node{c}, nil, "[192.0.2.3]"},
		{"excluded, external", "", []*corev1.Node{hidden, outside}, nil, "[198.51.100.5]"},
		{"local", corev1.ServiceExternalTrafficPolicyLocal, []*corev1.Node{a, b}, slices, "[192.0.2.2]"},
		{"local without endpoints", corev1.ServiceExternalTrafficPolicyLocal, []*corev1.Node{a, b}, nil, "[192.0.2.1 192.0.2.2]"},
	} {
		svc := balanced("web", 1, 80)
		svc.Spec.ExternalTrafficPolicy = tc.policy
		if got := fmt.Sprint(addressesOf(svc, tc.nodes, tc.slices)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// However Services come and go, once every one was decided about often enough
// no two of them share a port, and nobody waits for ports that are free.
func TestPortsAreSharedOutProperty(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		w := newWorld()
		n := rapid.IntRange(1, 6).Draw(t, "services")
		name := func(i int) string { return string(rune('a' + i)) }
		for i := range n {
			w.services[name(i)] = balanced(name(i), rapid.IntRange(0, 3).Draw(t, "second"),
				rapid.SliceOfNDistinct(rapid.Int32Range(1, 4), 1, 3, rapid.ID[int32]).Draw(t, "ports")...)
			if rapid.Bool().Draw(t, "at once") {
				w.decide(name(i))
			}
		}
		for range 2 * n {
			for i := range n {
				w.decide(name(i))
			}
		}
		taken := map[port]string{}
		for _, s := range w.services {
			for _, p := range portsOf(s) {
				if len(s.Status.LoadBalancer.Ingress) > 0 {
					if other := taken[p]; other != "" {
						t.Fatalf("%s and %s both have %s", other, s.Name, p)
					}
					taken[p] = s.Name
				}
			}
		}
		for _, s := range w.services {
			free := len(s.Status.LoadBalancer.Ingress) == 0
			for _, p := range portsOf(s) {
				free = free && taken[p] == ""
			}
			if free {
				t.Errorf("%s waits though its ports are free", s.Name)
			}
		}
	})
}
