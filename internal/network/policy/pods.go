package policy

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// EdgeLabels are what policies know Ingress traffic by, in the namespace
// kube-system.
func EdgeLabels() labels.Set { return labels.Set{"app.kubernetes.io/name": "knarr-ingress"} }

// DNSPod presents the cluster DNS, which every node answers itself, with the
// labels and the names of ports that its pods have elsewhere.
func DNSPod(address netip.Addr) rules.Pod {
	return rules.Pod{
		Key:    rules.Key{Namespace: metav1.NamespaceSystem, Name: "kube-dns (of the node)"}, // no name that a pod can have
		Labels: labels.Set{"k8s-app": "kube-dns"}, Addr: address, Local: true,
		Ports: []rules.NamedPort{{Name: "dns", Protocol: rules.UDP, Port: 53}, {Name: "dns-tcp", Protocol: rules.TCP, Port: 53}},
	}
}

// EdgePod presents the edge of a node, which brings HTTP from outside to pods.
func EdgePod(node string, address netip.Addr) rules.Pod {
	return rules.Pod{Key: EdgeKey(node), Labels: EdgeLabels(), Addr: address}
}

// EdgeKey names the edge of a node, as no pod can be named.
func EdgeKey(node string) rules.Key {
	return rules.Key{Namespace: metav1.NamespaceSystem, Name: "edge (of " + node + ")"}
}

// EdgeAddress is where a node's edge sends from to pods: the first of the
// node's range, which no pod is given.
func EdgeAddress(n *corev1.Node) (netip.Addr, bool) {
	for _, text := range append([]string{n.Spec.PodCIDR}, n.Spec.PodCIDRs...) {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is4() {
			return p.Masked().Addr().Next(), true
		}
	}
	return netip.Addr{}, false
}

// PodOf is what policies see of a pod with the address; false for one that
// they are not about: it shares its node's network, has ended, or has no
// address yet.
func PodOf(p *corev1.Pod, address netip.Addr, node string) (rules.Pod, bool) {
	ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	if p.Spec.HostNetwork || ended || !address.IsValid() {
		return rules.Pod{}, false
	}
	return rules.Pod{
		Key: rules.Key{Namespace: p.Namespace, Name: p.Name}, Labels: p.Labels, Addr: address,
		Ports: namedPorts(&p.Spec), Created: p.CreationTimestamp.Time, Local: p.Spec.NodeName == node,
	}, true
}

// AddressOf is the IPv4 address that a pod's status tells.
func AddressOf(p *corev1.Pod) netip.Addr {
	for _, ip := range append([]corev1.PodIP{{IP: p.Status.PodIP}}, p.Status.PodIPs...) {
		if a, err := netip.ParseAddr(ip.IP); err == nil && a.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// namedPorts are the named ports of containers that run as long as the pod.
func namedPorts(s *corev1.PodSpec) []rules.NamedPort {
	var out []rules.NamedPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if n, ok := rules.ProtocolNumber(p.Protocol); ok && p.Name != "" {
				out = append(out, rules.NamedPort{Name: p.Name, Protocol: n, Port: uint16(p.ContainerPort)})
			}
		}
	}
	for i := range s.InitContainers {
		if always := s.InitContainers[i].RestartPolicy; always != nil && *always == corev1.ContainerRestartPolicyAlways {
			add(&s.InitContainers[i])
		}
	}
	for i := range s.Containers {
		add(&s.Containers[i])
	}
	return out
}

// sameToPolicies tells that a change of a pod is none for policies.
func sameToPolicies(a, b *corev1.Pod) bool {
	return a.UID == b.UID && a.Status.Phase == b.Status.Phase && a.Spec.NodeName == b.Spec.NodeName &&
		a.Status.PodIP == b.Status.PodIP && slices.Equal(a.Status.PodIPs, b.Status.PodIPs) && maps.Equal(a.Labels, b.Labels)
}
