package rules_test

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// world is what the reference evaluator reads: plain objects, looked through
// one by one for every question.
type world struct {
	namespaces map[string]labels.Set
	pods       map[rules.Key]rules.Pod
	policies   map[rules.Key]*networkingv1.NetworkPolicy
}

func newWorld() *world {
	return &world{namespaces: map[string]labels.Set{}, pods: map[rules.Key]rules.Pod{}, policies: map[rules.Key]*networkingv1.NetworkPolicy{}}
}

// at is the newest pod with the address.
func (w *world) at(a netip.Addr) *rules.Pod {
	var found *rules.Pod
	for _, p := range w.pods {
		if p.Addr == a && (found == nil || p.Created.After(found.Created) ||
			p.Created.Equal(found.Created) && (p.Namespace > found.Namespace || p.Namespace == found.Namespace && p.Name > found.Name)) {
			found = &p
		}
	}
	return found
}

func takes(s *metav1.LabelSelector, l labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(l)
}

// allows tells whether a direction of the pod at the subject's end allows the
// flow.
func (w *world) allows(d rules.Direction, f rules.Flow) bool {
	subject, peer := f.Destination, f.Source
	if d == rules.Egress {
		subject, peer = f.Source, f.Destination
	}
	pod := w.at(subject)
	if pod == nil || !pod.Local || f.Source == f.Destination {
		return true
	}
	restricted := false
	for _, p := range w.policies {
		if p.Namespace != pod.Namespace || !takes(&p.Spec.PodSelector, pod.Labels) || !restricts(p, d) {
			continue
		}
		restricted = true
		if d == rules.Ingress {
			for _, r := range p.Spec.Ingress {
				if w.peers(p.Namespace, r.From, peer) && w.ports(r.Ports, f) {
					return true
				}
			}
			continue
		}
		for _, r := range p.Spec.Egress {
			if w.peers(p.Namespace, r.To, peer) && w.ports(r.Ports, f) {
				return true
			}
		}
	}
	return !restricted
}

func restricts(p *networkingv1.NetworkPolicy, d rules.Direction) bool {
	want := networkingv1.PolicyTypeIngress
	if d == rules.Egress {
		want = networkingv1.PolicyTypeEgress
	}
	for _, t := range p.Spec.PolicyTypes {
		if t == want {
			return true
		}
	}
	return false
}

func (w *world) peers(namespace string, peers []networkingv1.NetworkPolicyPeer, a netip.Addr) bool {
	pod := w.at(a)
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			in := netip.MustParsePrefix(p.IPBlock.CIDR).Contains(a)
			for _, e := range p.IPBlock.Except {
				in = in && !netip.MustParsePrefix(e).Contains(a)
			}
			if in {
				return true
			}
		case pod == nil:
		case p.NamespaceSelector == nil:
			if pod.Namespace == namespace && takes(p.PodSelector, pod.Labels) {
				return true
			}
		default:
			l, known := w.namespaces[pod.Namespace]
			if known && takes(p.NamespaceSelector, l) && (p.PodSelector == nil || takes(p.PodSelector, pod.Labels)) {
				return true
			}
		}
	}
	return len(peers) == 0
}

func (w *world) ports(ports []networkingv1.NetworkPolicyPort, f rules.Flow) bool {
	number := map[corev1.Protocol]uint8{corev1.ProtocolTCP: 6, corev1.ProtocolUDP: 17, corev1.ProtocolSCTP: 132}
	for _, p := range ports {
		if number[*p.Protocol] != f.Protocol {
			continue
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			pod := w.at(f.Destination)
			for i := 0; pod != nil && i < len(pod.Ports); i++ {
				if q := pod.Ports[i]; q.Name == p.Port.StrVal && q.Protocol == f.Protocol && q.Port == f.Port {
					return true
				}
			}
		case p.EndPort != nil:
			if int32(f.Port) >= p.Port.IntVal && int32(f.Port) <= *p.EndPort {
				return true
			}
		case int32(f.Port) == p.Port.IntVal:
			return true
		}
	}
	return len(ports) == 0
}
