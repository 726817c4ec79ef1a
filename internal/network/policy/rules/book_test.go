package rules_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// Small pools, so that what is drawn meets each other.
var (
	namespaceNames = []string{"a", "b", "c"}
	labelSets      = []labels.Set{nil, {"app": "web"}, {"app": "db"}, {"app": "web", "tier": "1"}}
	selectors      = []*metav1.LabelSelector{{}, {MatchLabels: map[string]string{"app": "web"}}, {MatchLabels: map[string]string{"app": "db"}},
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"web", "x"}}}},
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpExists}}}}
	protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	portLists = [][]rules.NamedPort{nil, {{Name: "http", Protocol: 6, Port: 80}}, {{Name: "http", Protocol: 6, Port: 81}, {Name: "dns", Protocol: 17, Port: 80}},
		{{Name: "http", Protocol: 17, Port: 82}, {Name: "http", Protocol: 6, Port: 83}}}
	blocks = []networkingv1.IPBlock{{CIDR: "0.0.0.0/0"}, {CIDR: "10.0.0.0/29"}, {CIDR: "10.0.0.0/28", Except: []string{"10.0.0.4/30", "10.0.0.9/32"}},
		{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/30", "128.0.0.0/1"}}, {CIDR: "fd00::/8"}}
)

func draw[T any](t *rapid.T, what string, from []T) T { return rapid.SampledFrom(from).Draw(t, what) }

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

func drawPorts(t *rapid.T) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for range rapid.IntRange(0, 3).Draw(t, "ports") {
		p := networkingv1.NetworkPolicyPort{Protocol: new(corev1.Protocol)}
		*p.Protocol = draw(t, "protocol", protocols)
		switch rapid.IntRange(0, 3).Draw(t, "kind of port") {
		case 1:
			port := intstr.FromString(draw(t, "name", []string{"http", "dns"}))
			p.Port = &port
		case 2:
			port := intstr.FromInt32(rapid.Int32Range(79, 83).Draw(t, "port"))
			p.Port = &port
		case 3:
			port, end := intstr.FromInt32(rapid.Int32Range(79, 81).Draw(t, "port")), rapid.Int32Range(81, 83).Draw(t, "end")
			p.Port, p.EndPort = &port, &end
		}
		out = append(out, p)
	}
	return out
}

func drawPeers(t *rapid.T) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	for range rapid.IntRange(0, 3).Draw(t, "peers") {
		var p networkingv1.NetworkPolicyPeer
		switch rapid.IntRange(0, 3).Draw(t, "kind of peer") {
		case 0:
			b := draw(t, "block", blocks)
			p.IPBlock = &b
		case 1:
			p.PodSelector = draw(t, "pods", selectors)
		case 2:
			p.NamespaceSelector = draw(t, "namespaces", selectors)
		case 3:
			p.PodSelector, p.NamespaceSelector = draw(t, "pods", selectors), draw(t, "namespaces", selectors)
		}
		out = append(out, p)
	}
	return out
}

func drawPolicy(t *rapid.T) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: draw(t, "namespace", namespaceNames), Name: draw(t, "policy", []string{"p", "q"})}}
	p.Spec.PodSelector = *draw(t, "subjects", selectors)
	kinds := rapid.IntRange(1, 3).Draw(t, "directions")
	if kinds&1 != 0 {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		for range rapid.IntRange(0, 2).Draw(t, "ingress") {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: drawPeers(t), Ports: drawPorts(t)})
		}
	}
	if kinds&2 != 0 {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		for range rapid.IntRange(0, 2).Draw(t, "egress") {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: drawPeers(t), Ports: drawPorts(t)})
		}
	}
	return p
}

func drawPod(t *rapid.T) rules.Pod {
	return rules.Pod{
		Key:    rules.Key{Namespace: draw(t, "namespace", namespaceNames), Name: draw(t, "pod", []string{"1", "2", "3"})},
		Labels: draw(t, "labels", labelSets), Addr: addr(rapid.IntRange(1, 7).Draw(t, "address")), Ports: draw(t, "named ports", portLists),
		Created: time.Unix(int64(rapid.IntRange(0, 2).Draw(t, "created")), 0), Local: rapid.IntRange(0, 3).Draw(t, "local") > 0,
	}
}

// change draws a change and tells the book and the reference of it.
func change(t *rapid.T, b *rules.Book, w *world) {
	switch rapid.IntRange(0, 7).Draw(t, "change") {
	case 0, 1:
		p := drawPod(t)
		b.SetPod(p)
		w.pods[p.Key] = p
	case 2:
		p := drawPod(t)
		b.DropPod(p.Key)
		delete(w.pods, p.Key)
	case 3, 4:
		p := drawPolicy(t)
		if err := b.SetPolicy(p); err != nil {
			t.Fatal(err)
		}
		w.policies[rules.Key{Namespace: p.Namespace, Name: p.Name}] = p
	case 5:
		k := rules.Key{Namespace: draw(t, "namespace", namespaceNames), Name: draw(t, "policy", []string{"p", "q"})}
		b.DropPolicy(k)
		delete(w.policies, k)
	case 6:
		name, l := draw(t, "namespace", namespaceNames), draw(t, "labels", labelSets)
		b.SetNamespace(name, l)
		w.namespaces[name] = l
	case 7:
		name := draw(t, "namespace", namespaceNames)
		b.DropNamespace(name)
		delete(w.namespaces, name)
	}
}

// flows are all that the pools can tell apart.
func flows(f func(rules.Flow)) {
	for source := range 8 {
		for destination := range 8 {
			for _, protocol := range []uint8{1, 6, 17, 132} {
				for _, port := range []uint16{78, 80, 81, 83} {
					f(rules.Flow{Source: addr(source), Destination: addr(destination), Protocol: protocol, Port: port})
				}
			}
		}
	}
}

// After any history, told piece by piece, the kernel allows what the objects
// say, and so does Judge; the same holds for a kernel that is told everything
// at once.
func TestKernelAllowsWhatPoliciesSay(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		b, w, k := rules.NewBook(), newWorld(), newKernel()
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			before := map[rules.Flow]bool{}
			flows(func(f rules.Flow) {
				before[f] = k.allows(rules.Ingress, f) && k.allows(rules.Egress, f)
			})
			known := w.addresses()
			for range rapid.IntRange(1, 8).Draw(t, "changes") {
				change(t, b, w)
			}
			taken := b.Take()
			if err := k.apply(taken); err != nil {
				t.Fatal(err)
			}
			again := newKernel()
			if err := again.apply(b.Whole()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(again, k, cmp.AllowUnexported(kernel{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Fatalf("told at once and piece by piece differ: %s", diff)
			}
			flows(func(f rules.Flow) {
				v := b.Judge(f)
				allowed := true
				for d := range 2 {
					d := rules.Direction(d)
					want := w.allows(d, f)
					allowed = allowed && want
					if got := k.allows(d, f); got != want {
						t.Fatalf("%v: the kernel's %s says %v, the policies %v", f, d, got, want)
					}
					if v[d].Allowed != want {
						t.Fatalf("%v: Judge's %s says %+v, the policies %v", f, d, v[d], want)
					}
				}
				if before[f] && !allowed && !taken.Tightened && known[f.Source] && known[f.Destination] && w.at(f.Source) != nil && w.at(f.Destination) != nil {
					t.Fatalf("%v was allowed and is not any more, which the change does not tell", f)
				}
			})
		}
	})
}

// addresses are those that pods have.
func (w *world) addresses() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, p := range w.pods {
		out[p.Addr] = true
	}
	return out
}

func TestRangesWithoutExceptions(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		whole := netip.PrefixFrom(addr(0), rapid.IntRange(24, 30).Draw(t, "bits"))
		block := networkingv1.IPBlock{CIDR: whole.String()}
		for range rapid.IntRange(0, 4).Draw(t, "holes") {
			hole := netip.PrefixFrom(addr(rapid.IntRange(0, 255).Draw(t, "hole")), rapid.IntRange(25, 32).Draw(t, "bits")).Masked()
			block.Except = append(block.Except, hole.String())
		}
		b, w, k := rules.NewBook(), newWorld(), newKernel()
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &block}}}}}}
		pod := rules.Pod{Key: rules.Key{Namespace: "a", Name: "1"}, Addr: netip.MustParseAddr("192.0.2.1"), Local: true}
		b.SetPod(pod)
		w.pods[pod.Key], w.policies[rules.Key{Namespace: "a", Name: "p"}] = pod, p
		if err := b.SetPolicy(p); err != nil {
			t.Fatal(err)
		}
		if err := k.apply(b.Take()); err != nil {
			t.Fatal(err)
		}
		for n := range 256 {
			f := rules.Flow{Source: addr(n), Destination: pod.Addr, Protocol: 6, Port: 80}
			if got, want := k.allows(rules.Ingress, f), w.allows(rules.Ingress, f); got != want {
				t.Fatalf("%v of %v: %v, want %v", addr(n), block, got, want)
			}
		}
	})
}

// The cost of a change is what it touches, however many policies there are.
func TestChangesAreSmall(t *testing.T) {
	b := rules.NewBook()
	for i := range 200 {
		ns := fmt.Sprint("n", i%20)
		b.SetNamespace(ns, labels.Set{"n": ns})
		b.SetPod(rules.Pod{Key: rules.Key{Namespace: ns, Name: fmt.Sprint("p", i)}, Labels: labels.Set{"app": "web"}, Addr: netip.AddrFrom4([4]byte{10, 1, byte(i / 100), byte(i % 100)}), Local: true})
		if err := b.SetPolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprint("q", i)}, Spec: networkingv1.NetworkPolicySpec{
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: selectors[1]}}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	b.Take()
	b.SetPod(rules.Pod{Key: rules.Key{Namespace: "n3", Name: "new"}, Labels: labels.Set{"app": "web"}, Addr: addr(1), Local: true})
	c := b.Take()
	if len(c.SetChains) != 0 || len(c.AddSets) != 0 || len(c.AddMembers) != 1 || len(c.SetSubjects[rules.Ingress]) != 1 || c.Tightened {
		t.Errorf("a pod like others of its namespace changes %+v", c)
	}
	b.SetPod(rules.Pod{Key: rules.Key{Namespace: "n3", Name: "new"}, Labels: labels.Set{"app": "web", "x": "y"}, Addr: addr(1), Local: true})
	if c := b.Take(); !c.Empty() || c.Tightened {
		t.Errorf("a label that no policy asks for changes %+v", c)
	}
	b.DropPod(rules.Key{Namespace: "n3", Name: "new"})
	if c := b.Take(); len(c.DropMembers) != 1 || len(c.DropSubjects[rules.Ingress]) != 1 || len(c.DropChains)+len(c.DropSets) != 0 || c.Tightened {
		t.Errorf("a pod that goes changes %+v", c)
	}
	b.DropPolicy(rules.Key{Namespace: "n3", Name: "q3"})
	if c := b.Take(); len(c.DropChains) != 2 || len(c.SetChains) != 1 || len(c.DropSets) != 0 || !c.Tightened {
		t.Errorf("a policy that goes changes %d chains to drop, %d to set, tightened %v", len(c.DropChains), len(c.SetChains), c.Tightened)
	}
}

func TestPolicyThatCannotBeUnderstoodStaysAsItWas(t *testing.T) {
	b := rules.NewBook()
	deny := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}}
	if err := b.SetPolicy(deny); err != nil {
		t.Fatal(err)
	}
	b.SetPod(rules.Pod{Key: rules.Key{Namespace: "a", Name: "1"}, Addr: addr(1), Local: true})
	bad := deny.DeepCopy()
	bad.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Like"}}
	if err := b.SetPolicy(bad); err == nil {
		t.Error("an operator that there is not was taken")
	}
	if b.Allowed(rules.Flow{Source: addr(2), Destination: addr(1), Protocol: 6, Port: 80}) {
		t.Error("the policy as it was denies everything")
	}
}
