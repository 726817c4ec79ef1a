package endpointslice

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/selection"
)

const managedBy = "endpointslice-controller.k8s.io"

// portSet is a list of ports in a form that can be compared.
type portSet string

// group is what goes into slices of one port set and address family.
type group struct {
	family    discoveryv1.AddressType
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
}

type groupKey struct {
	family discoveryv1.AddressType
	ports  portSet
}

// zoneOf gives a node's zone; empty where it has none.
type zoneOf func(node string) string

// desired sorts the Service's pods into groups.
func desired(svc *corev1.Service, selected []*corev1.Pod, zone zoneOf) map[groupKey]*group {
	groups := map[groupKey]*group{}
	for _, family := range families(svc) {
		for _, pod := range selected {
			address := addressOf(pod, family)
			if address == "" || !selection.Candidate(pod) {
				continue
			}
			ports := portsOf(svc, pod)
			key := groupKey{family: family, ports: portKey(ports)}
			if groups[key] == nil {
				groups[key] = &group{family: family, ports: ports}
			}
			groups[key].endpoints = append(groups[key].endpoints, endpointOf(svc, pod, address, zone))
		}
	}
	for _, g := range groups {
		slices.SortFunc(g.endpoints, func(a, b discoveryv1.Endpoint) int { return cmp.Compare(a.TargetRef.Name, b.TargetRef.Name) })
		hint(svc, g.endpoints)
	}
	return groups
}

// families are the address types that the Service wants slices of.
func families(svc *corev1.Service) []discoveryv1.AddressType {
	var out []discoveryv1.AddressType
	for _, f := range svc.Spec.IPFamilies {
		if f == corev1.IPv6Protocol {
			out = append(out, discoveryv1.AddressTypeIPv6)
		} else {
			out = append(out, discoveryv1.AddressTypeIPv4)
		}
	}
	if len(out) == 0 {
		out = append(out, discoveryv1.AddressTypeIPv4)
	}
	return out
}

// addressOf is the pod's first address of the family.
func addressOf(pod *corev1.Pod, family discoveryv1.AddressType) string {
	ips := pod.Status.PodIPs
	if len(ips) == 0 && pod.Status.PodIP != "" {
		ips = []corev1.PodIP{{IP: pod.Status.PodIP}}
	}
	for _, ip := range ips {
		addr, err := netip.ParseAddr(ip.IP)
		if err == nil && addr.Is6() == (family == discoveryv1.AddressTypeIPv6) {
			return ip.IP
		}
	}
	return ""
}

func endpointOf(svc *corev1.Service, pod *corev1.Pod, address string, zone zoneOf) discoveryv1.Endpoint {
	serving, terminating := pods.Ready(pod), pod.DeletionTimestamp != nil
	ready := svc.Spec.PublishNotReadyAddresses || serving && !terminating
	ep := discoveryv1.Endpoint{
		Addresses:  []string{address},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		node := pod.Spec.NodeName
		ep.NodeName = &node
		if z := zone(node); z != "" {
			ep.Zone = &z
		}
	}
	if name := selection.Hostname(pod, svc); name != "" {
		ep.Hostname = &name
	}
	return ep
}

// hint keeps traffic near where the Service asks for that: each endpoint
// serves its own zone, or its own node. Where an endpoint's place is unknown
// nobody gets a hint.
func hint(svc *corev1.Service, endpoints []discoveryv1.Endpoint) {
	if svc.Spec.TrafficDistribution == nil {
		return
	}
	byNode := *svc.Spec.TrafficDistribution == corev1.ServiceTrafficDistributionPreferSameNode
	hints := make([]*discoveryv1.EndpointHints, len(endpoints))
	for i, ep := range endpoints {
		if !*ep.Conditions.Ready {
			continue
		}
		if ep.Zone == nil && !byNode || ep.NodeName == nil {
			return
		}
		hints[i] = &discoveryv1.EndpointHints{}
		if ep.Zone != nil {
			hints[i].ForZones = []discoveryv1.ForZone{{Name: *ep.Zone}}
		}
		if byNode {
			hints[i].ForNodes = []discoveryv1.ForNode{{Name: *ep.NodeName}}
		}
	}
	for i := range endpoints {
		endpoints[i].Hints = hints[i]
	}
}

// portsOf are the Service's ports as this pod has them.
func portsOf(svc *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	out := []discoveryv1.EndpointPort{}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		number, ok := selection.TargetPort(pod, p)
		if !ok {
			continue
		}
		name, proto := p.Name, p.Protocol
		out = append(out, discoveryv1.EndpointPort{Name: &name, Protocol: &proto, Port: &number, AppProtocol: p.AppProtocol})
	}
	slices.SortStableFunc(out, func(a, b discoveryv1.EndpointPort) int { return cmp.Compare(*a.Name, *b.Name) })
	return out
}

func portKey(ports []discoveryv1.EndpointPort) portSet {
	sorted := slices.Clone(ports)
	name := func(p discoveryv1.EndpointPort) string {
		if p.Name == nil {
			return ""
		}
		return *p.Name
	}
	slices.SortStableFunc(sorted, func(a, b discoveryv1.EndpointPort) int { return cmp.Compare(name(a), name(b)) })
	out, err := json.Marshal(sorted)
	if err != nil { // names and numbers always encode
		return ""
	}
	return portSet(out)
}

// labelsOf are a slice's labels: the Service's own, and those that say whose
// it is.
func labelsOf(svc *corev1.Service) map[string]string {
	out := maps.Clone(svc.Labels)
	if out == nil {
		out = map[string]string{}
	}
	delete(out, corev1.IsHeadlessService)
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		out[corev1.IsHeadlessService] = ""
	}
	out[discoveryv1.LabelServiceName] = svc.Name
	out[discoveryv1.LabelManagedBy] = managedBy
	return out
}

// newSlice is an empty slice of a group.
func newSlice(svc *corev1.Service, g *group) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: svc.Namespace, GenerateName: svc.Name + "-", Labels: labelsOf(svc),
			OwnerReferences: []metav1.OwnerReference{own.Ref(svc, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: g.family, Ports: g.ports, Endpoints: []discoveryv1.Endpoint{},
	}
}
