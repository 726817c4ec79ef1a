package rules

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Direction is the side of a pod that a rule is about.
type Direction int

// What comes to a pod, and what it sends.
const (
	Ingress Direction = iota
	Egress
)

func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Protocols by their IP numbers.
const (
	TCP  uint8 = 6
	UDP  uint8 = 17
	SCTP uint8 = 132
)

// ProtocolNumber is the IP number of a protocol; TCP for none.
func ProtocolNumber(p corev1.Protocol) (uint8, bool) {
	switch p {
	case corev1.ProtocolTCP, "":
		return TCP, true
	case corev1.ProtocolUDP:
		return UDP, true
	case corev1.ProtocolSCTP:
		return SCTP, true
	}
	return 0, false
}

// compiled is a policy with its selectors parsed.
type compiled struct {
	selector labels.Selector
	sides    [2]*side // nil: the policy says nothing of that direction
}

type side struct{ rules []rule }

// rule allows what comes from (goes to) any of its peers, to any of its ports.
type rule struct {
	anyPeer bool
	peers   []groupSpec
	blocks  []AddrRange // sorted, disjoint

	anyPort bool
	ports   []protocolPorts
	named   []groupSpec
}

// protocolPorts are ports of one protocol; all of them where ranges is empty.
type protocolPorts struct {
	protocol uint8
	ranges   []PortRange // sorted, disjoint
}

// compile parses a policy. The API has validated it: an error is one of a
// stored object that it would refuse now.
func compile(p *networkingv1.NetworkPolicy) (*compiled, error) {
	selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
	if err != nil {
		return nil, fmt.Errorf("spec.podSelector: %w", err)
	}
	c := &compiled{selector: selector}
	ingress, egress := directions(&p.Spec)
	if ingress {
		c.sides[Ingress] = &side{}
		for i, r := range p.Spec.Ingress {
			if err := c.sides[Ingress].add(p.Namespace, r.From, r.Ports); err != nil {
				return nil, fmt.Errorf("spec.ingress[%d]: %w", i, err)
			}
		}
	}
	if egress {
		c.sides[Egress] = &side{}
		for i, r := range p.Spec.Egress {
			if err := c.sides[Egress].add(p.Namespace, r.To, r.Ports); err != nil {
				return nil, fmt.Errorf("spec.egress[%d]: %w", i, err)
			}
		}
	}
	return c, nil
}

// directions are those that a policy restricts; where it does not say, those
// that the API fills in.
func directions(s *networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(s.PolicyTypes) == 0 {
		return true, len(s.Egress) > 0
	}
	for _, t := range s.PolicyTypes {
		ingress = ingress || t == networkingv1.PolicyTypeIngress
		egress = egress || t == networkingv1.PolicyTypeEgress
	}
	return ingress, egress
}

func (s *side) add(namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
	r := rule{anyPeer: len(peers) == 0, anyPort: len(ports) == 0}
	for i := range peers {
		if err := r.addPeer(namespace, &peers[i]); err != nil {
			return fmt.Errorf("peer %d: %w", i, err)
		}
	}
	r.blocks = mergeAddrs(r.blocks)
	r.addPorts(ports)
	s.rules = append(s.rules, r)
	return nil
}

func (r *rule) addPeer(namespace string, peer *networkingv1.NetworkPolicyPeer) error {
	if peer.IPBlock != nil {
		blocks, err := blockRanges(peer.IPBlock)
		if err != nil {
			return fmt.Errorf("ipBlock: %w", err)
		}
		r.blocks = append(r.blocks, blocks...)
		return nil
	}
	spec := groupSpec{pods: labels.Everything()}
	if peer.PodSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(peer.PodSelector)
		if err != nil {
			return fmt.Errorf("podSelector: %w", err)
		}
		spec.pods = selector
	}
	if peer.NamespaceSelector == nil {
		spec.namespace = namespace
	} else {
		selector, err := metav1.LabelSelectorAsSelector(peer.NamespaceSelector)
		if err != nil {
			return fmt.Errorf("namespaceSelector: %w", err)
		}
		spec.namespaces = selector
	}
	r.peers = append(r.peers, spec)
	return nil
}

// addPorts sorts the ports by what they are matched with.
func (r *rule) addPorts(ports []networkingv1.NetworkPolicyPort) {
	numbers, all := map[uint8][]PortRange{}, map[uint8]bool{}
	for i := range ports {
		port := &ports[i]
		var protocol corev1.Protocol
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		n, ok := ProtocolNumber(protocol)
		switch {
		case !ok:
		case port.Port == nil:
			all[n] = true
		case port.Port.Type == intstr.String:
			r.named = append(r.named, groupSpec{port: &NamedPort{Name: port.Port.StrVal, Protocol: n}})
		default:
			first := uint16(port.Port.IntVal)
			last := first
			if port.EndPort != nil {
				last = uint16(*port.EndPort)
			}
			numbers[n] = append(numbers[n], PortRange{first, last})
		}
	}
	for _, n := range []uint8{TCP, UDP, SCTP} {
		if all[n] {
			r.ports = append(r.ports, protocolPorts{protocol: n})
		} else if len(numbers[n]) > 0 {
			r.ports = append(r.ports, protocolPorts{protocol: n, ranges: mergePorts(numbers[n])})
		}
	}
}
