package loadbalancer

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// addressesOf are the addresses at which the nodes take a Service's traffic,
// one for each node and bounded: of those that are ready, where any is. A
// Service whose traffic stays on the node that it came to is shown only at
// nodes that have an endpoint, where any has.
func addressesOf(svc *corev1.Service, nodes []*corev1.Node, endpoints []*discoveryv1.EndpointSlice) []string {
	nodes = slices.DeleteFunc(slices.Clone(nodes), excluded)
	nodes = preferred(nodes, ready)
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		having := nodesOf(endpoints)
		nodes = preferred(nodes, func(n *corev1.Node) bool { return having[n.Name] })
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	var out []string
	for _, n := range nodes {
		if address := addressOf(n); address != "" && len(out) < mostAddresses {
			out = append(out, address)
		}
	}
	return out
}

// preferred are the nodes that have the quality; all where none has.
func preferred(nodes []*corev1.Node, quality func(*corev1.Node) bool) []*corev1.Node {
	var out []*corev1.Node
	for _, n := range nodes {
		if quality(n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nodes
	}
	return out
}

func excluded(n *corev1.Node) bool {
	_, labelled := n.Labels[corev1.LabelNodeExcludeBalancers]
	return labelled || n.DeletionTimestamp != nil
}

func ready(n *corev1.Node) bool {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// addressOf is the address by which the world reaches a node: an external one
// where it has any.
func addressOf(n *corev1.Node) string {
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		for _, a := range n.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); a.Type == kind && err == nil && ip.Is4() {
				return a.Address
			}
		}
	}
	return ""
}

// nodesOf are the nodes that have a ready endpoint.
func nodesOf(endpoints []*discoveryv1.EndpointSlice) map[string]bool {
	out := map[string]bool{}
	for _, slice := range endpoints {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if e.NodeName != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				out[*e.NodeName] = true
			}
		}
	}
	return out
}

// sameFor tells whether a change of a node leaves what is shown of it alone.
func sameFor(old, new *corev1.Node) bool {
	return old != nil && new != nil && excluded(old) == excluded(new) && ready(old) == ready(new) && addressOf(old) == addressOf(new)
}
