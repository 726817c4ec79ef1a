package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/policy"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// Connection is what network policies say to a pod's connection.
type Connection struct {
	Pod     rules.Key
	Address netip.Addr
	// Through is the Service that leads to the ends; the zero Key for none.
	Through rules.Key
	Ends    []ConnectionEnd
}

// ConnectionEnd is whom the connection may reach.
type ConnectionEnd struct {
	Address  netip.AddrPort
	Protocol corev1.Protocol
	// Who has the address; empty for nobody of the cluster.
	Who      string
	Verdicts [2]rules.Verdict
}

// Allowed tells whether both sides allow the connection.
func (e *ConnectionEnd) Allowed() bool {
	return e.Verdicts[rules.Ingress].Allowed && e.Verdicts[rules.Egress].Allowed
}

// ExplainConnection tells which rules allow or deny a pod's connection to a
// destination, `HOST:PORT` or `HOST:PORT/PROTOCOL`. The host is an address, or
// the name of a Service or a pod, of another namespace as `NAME.NAMESPACE`.
func ExplainConnection(ctx context.Context, s Settings, namespace, name, destination string) (*Connection, error) {
	to, err := parseDestination(namespace, destination)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	config, err := adminConfig(s)
	if err != nil {
		return nil, err
	}
	transport, err := client.NewHTTPS(config, catalog.New())
	if err != nil {
		return nil, err
	}
	m, err := readNetwork(ctx, client.New(transport, catalog.New()), s.DNS)
	if err != nil {
		return nil, err
	}
	return m.explain(rules.Key{Namespace: namespace, Name: name}, to)
}

// destination is where a connection is to go, as a person says it.
type destination struct {
	host      string
	namespace string // of a name
	port      uint16
	protocol  corev1.Protocol
}

func parseDestination(namespace, text string) (destination, error) {
	to := destination{namespace: namespace, protocol: corev1.ProtocolTCP}
	rest, protocol, given := strings.Cut(text, "/")
	if given {
		to.protocol = corev1.Protocol(strings.ToUpper(protocol))
	}
	if _, ok := rules.ProtocolNumber(to.protocol); !ok {
		return to, fmt.Errorf("destination %q: the protocol is none of tcp, udp, sctp", text)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return to, fmt.Errorf("destination %q: write HOST:PORT or HOST:PORT/PROTOCOL: %w", text, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return to, fmt.Errorf("destination %q: the port is no number from 1 to 65535", text)
	}
	to.host, to.port = host, uint16(n)
	if _, err := netip.ParseAddr(host); err != nil {
		first, more, dotted := strings.Cut(host, ".")
		if dotted {
			to.host = first
			to.namespace, _, _ = strings.Cut(more, ".")
		}
	}
	return to, nil
}

// networkMap is what decides over connections, as the API has it now.
type networkMap struct {
	dns      netip.Addr
	book     *rules.Book
	pods     map[rules.Key]netip.Addr
	who      map[netip.Addr]string
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
}

func readNetwork(ctx context.Context, c *client.Client, dns netip.Addr) (*networkMap, error) {
	r := &lists{ctx: ctx, client: c}
	nodes, pods, namespaces := listed[*corev1.Node](r, ""), listed[*corev1.Pod](r, ""), listed[*corev1.Namespace](r, "")
	policies := listed[*networkingv1.NetworkPolicy](r, "")
	m := &networkMap{dns: dns, book: rules.NewBook(), pods: map[rules.Key]netip.Addr{}, who: map[netip.Addr]string{},
		services: listed[*corev1.Service](r, ""), slices: listed[*discoveryv1.EndpointSlice](r, "")}
	if r.err != nil {
		return nil, r.err
	}
	for _, n := range nodes {
		if a, ok := policy.EdgeAddress(n); ok {
			m.add(policy.EdgePod(n.Name, a), "the edge of node "+n.Name)
		}
		for _, address := range n.Status.Addresses {
			if a, err := netip.ParseAddr(address.Address); err == nil {
				m.who[a] = "node " + n.Name
			}
		}
	}
	m.add(policy.DNSPod(dns), "the cluster DNS, which every node answers itself")
	for _, ns := range namespaces {
		m.book.SetNamespace(ns.Name, ns.Labels)
	}
	for _, p := range pods {
		if seen, ok := policy.PodOf(p, policy.AddressOf(p), p.Spec.NodeName); ok {
			m.add(seen, "pod "+seen.Key.String())
		}
	}
	for _, p := range policies {
		if err := m.book.SetPolicy(p); err != nil {
			return nil, fmt.Errorf("network policy %s/%s: %w", p.Namespace, p.Name, err)
		}
	}
	return m, nil
}

func (m *networkMap) add(p rules.Pod, who string) {
	m.book.SetPod(p)
	m.pods[p.Key], m.who[p.Addr] = p.Addr, who
}

func (m *networkMap) explain(pod rules.Key, to destination) (*Connection, error) {
	source, ok := m.pods[pod]
	if !ok {
		return nil, fmt.Errorf("pod %s has no address of the pod network: it is not there, has ended, is starting, or shares its node's network, to which no policy applies", pod)
	}
	out := &Connection{Pod: pod, Address: source}
	ends, err := m.ends(to, out)
	if err != nil {
		return nil, err
	}
	protocol, _ := rules.ProtocolNumber(to.protocol)
	for _, end := range ends {
		out.Ends = append(out.Ends, ConnectionEnd{Address: end, Protocol: to.protocol, Who: m.who[end.Addr()],
			Verdicts: m.book.Judge(rules.Flow{Source: source, Destination: end.Addr(), Protocol: protocol, Port: end.Port()})})
	}
	return out, nil
}

// ends are the addresses that a destination stands for after translation.
func (m *networkMap) ends(to destination, out *Connection) ([]netip.AddrPort, error) {
	address, err := netip.ParseAddr(to.host)
	named := err != nil
	for _, svc := range m.services {
		if named && (svc.Name != to.host || svc.Namespace != to.namespace) || !named && !hasAddress(svc, to.host) {
			continue
		}
		out.Through = rules.Key{Namespace: svc.Namespace, Name: svc.Name}
		if svc.Spec.ClusterIP == m.dns.String() {
			return []netip.AddrPort{netip.AddrPortFrom(m.dns, to.port)}, nil
		}
		return m.endpoints(svc, to)
	}
	if !named {
		return []netip.AddrPort{netip.AddrPortFrom(address, to.port)}, nil
	}
	if address, ok := m.pods[rules.Key{Namespace: to.namespace, Name: to.host}]; ok {
		return []netip.AddrPort{netip.AddrPortFrom(address, to.port)}, nil
	}
	return nil, fmt.Errorf("namespace %s has neither a Service nor a pod with an address that is called %q", to.namespace, to.host)
}

// hasAddress tells that the Service answers on the address.
func hasAddress(svc *corev1.Service, address string) bool {
	for _, a := range slices.Concat(svc.Spec.ClusterIPs, svc.Spec.ExternalIPs) {
		if a == address {
			return true
		}
	}
	return false
}

// endpoints are the ready endpoints of a Service's port.
func (m *networkMap) endpoints(svc *corev1.Service, to destination) ([]netip.AddrPort, error) {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, fmt.Errorf("the Service %s/%s is another name of %s: ask about an address that this has", svc.Namespace, svc.Name, svc.Spec.ExternalName)
	}
	headless := svc.Spec.ClusterIP == corev1.ClusterIPNone
	name, found := "", headless
	for _, p := range svc.Spec.Ports {
		if p.Port == int32(to.port) && p.Protocol == to.protocol {
			name, found = p.Name, true
		}
	}
	if !found {
		return nil, fmt.Errorf("the Service %s/%s has no port %d of %s", svc.Namespace, svc.Name, to.port, to.protocol)
	}
	var out []netip.AddrPort
	for _, slice := range m.slices {
		if slice.Namespace != svc.Namespace || slice.Labels[discoveryv1.LabelServiceName] != svc.Name {
			continue
		}
		if headless {
			out = append(out, ready(slice, to.port)...)
			continue
		}
		for _, p := range slice.Ports {
			if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
				out = append(out, ready(slice, uint16(*p.Port))...)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the Service " + svc.Namespace + "/" + svc.Name + " has no ready endpoint: connections are refused before any policy is asked")
	}
	return out, nil
}

func ready(slice *discoveryv1.EndpointSlice, port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range slice.Endpoints {
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		for _, text := range e.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				out = append(out, netip.AddrPortFrom(a, port))
			}
		}
	}
	return out
}
