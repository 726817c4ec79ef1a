package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// EdgeAnnotation marks a Service that the node answers itself on the
// Service's address; the proxy leaves it alone.
const EdgeAnnotation = "knarr.io/served-by-node"

// Rendered is what one Service, or one pod with host ports, asks of the table.
type Rendered struct {
	ruleset.State
	// Ready are the pod addresses that new connections are sent to while
	// their pods live on. Endpoints that end and still serve, in want of
	// others, are not among them: nobody waits for those to leave.
	Ready map[netip.Addr]struct{}
	// UDP are the ways that UDP takes, those to such endpoints too.
	UDP map[Flow]struct{}
	// Health is what the Service's health check node port answers.
	Health Health
}

func newRendered() Rendered {
	return Rendered{
		State: ruleset.State{Chains: map[string]ruleset.Chain{}, Elements: map[ruleset.Key]string{}},
		Ready: map[netip.Addr]struct{}{}, UDP: map[Flow]struct{}{},
	}
}

// RenderService renders a Service with its slices for a node.
func RenderService(svc *corev1.Service, slices []*discoveryv1.EndpointSlice, here Place) Rendered {
	out := newRendered()
	if !proxied(svc) {
		return out
	}
	out.Health = healthOf(svc, slices, here)
	leaving := leavingOf(slices)
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		protocol, ok := protocolNumber(port.Protocol)
		if !ok {
			continue
		}
		p := portRender{svc: svc, port: port, protocol: protocol, leaving: leaving, out: &out,
			id: chainID(svc.Namespace, svc.Name, port.Name, strconv.Itoa(int(port.Port)), string(port.Protocol))}
		p.all, p.local, p.ready = endpointsOf(slices, port, here)
		p.render()
	}
	return out
}

func proxied(svc *corev1.Service) bool {
	if svc.Spec.Type == corev1.ServiceTypeExternalName || svc.Annotations[EdgeAnnotation] != "" {
		return false
	}
	return svc.Spec.ClusterIP != "" && svc.Spec.ClusterIP != corev1.ClusterIPNone
}

// protocolNumber is the IP protocol of a Service port.
func protocolNumber(p corev1.Protocol) (uint8, bool) {
	switch p {
	case corev1.ProtocolTCP, "":
		return unix.IPPROTO_TCP, true
	case corev1.ProtocolUDP:
		return unix.IPPROTO_UDP, true
	case corev1.ProtocolSCTP:
		return unix.IPPROTO_SCTP, true
	}
	return 0, false
}

func chainID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// portRender renders one port of a Service.
type portRender struct {
	svc        *corev1.Service
	port       *corev1.ServicePort
	protocol   uint8
	id         string
	all, local []ruleset.Target
	// ready is false where all are endpoints that end, in want of others.
	ready bool
	// leaving are endpoints that end, whatever they are said to be besides.
	leaving map[netip.Addr]bool
	out     *Rendered
}

func (p *portRender) render() {
	for _, t := range slices.Concat(p.all, p.local) {
		if p.ready && !p.leaving[t.Addr] {
			p.out.Ready[t.Addr] = struct{}{}
		}
		p.out.Elements[ruleset.Key{Set: ruleset.Hairpin, Addr: t.Addr}] = ""
	}
	internal := p.clusterLead()
	for _, ip := range p.svc.Spec.ClusterIPs {
		p.frontend(ip, internal)
	}
	if p.svc.Spec.Type != corev1.ServiceTypeClusterIP || len(p.svc.Spec.ExternalIPs) > 0 {
		p.renderExternal()
	}
}

// lead is where a frontend's packets go: to a chain of the Service's own, or
// straight to one of its targets. The zero value refuses them.
type lead struct {
	chain string
	pick  ruleset.Treatment
}

// renderExternal renders what is reached from outside of the cluster.
func (p *portRender) renderExternal() {
	ranges := sourceRanges(p.svc)
	external := p.externalLead(ranges == nil)
	for _, ip := range p.svc.Spec.ExternalIPs {
		p.frontend(ip, external)
	}
	p.renderBalancer(external, ranges)
	if p.port.NodePort == 0 {
		return
	}
	key := ruleset.Key{Protocol: p.protocol, Port: uint16(p.port.NodePort)}
	p.ways(key)
	switch {
	case external.pick != 0:
		key.Set = ruleset.NodePicks
		p.targets(key, ruleset.NodeTargets)
		p.out.Elements[key] = ruleset.Pick(ruleset.ForNodePort, len(p.all))
	case external.chain != "":
		key.Set = ruleset.NodePorts
		p.out.Elements[key] = external.chain
	default:
		key.Set = ruleset.RefusedPorts
		p.out.Elements[key] = ""
	}
}

// targets numbers the endpoints below a frontend.
func (p *portRender) targets(frontend ruleset.Key, set string) {
	for i, t := range p.all {
		frontend.Set, frontend.Index = set, uint32(i)
		p.out.Elements[frontend] = t.String()
	}
}

// ways notes those of UDP from a frontend.
func (p *portRender) ways(frontend ruleset.Key) {
	if p.protocol != unix.IPPROTO_UDP {
		return
	}
	for _, t := range slices.Concat(p.all, p.local) {
		p.out.UDP[wayOf(frontend, t)] = struct{}{}
	}
}

func wayOf(frontend ruleset.Key, t ruleset.Target) Flow {
	return Flow{To: netip.AddrPortFrom(frontend.Addr, frontend.Port), By: netip.AddrPortFrom(t.Addr, t.Port)}
}

// renderBalancer renders the addresses of the load balancer, which may be for
// some clients only; others are dropped.
func (p *portRender) renderBalancer(external lead, ranges []netip.Prefix) {
	for _, ingress := range p.svc.Status.LoadBalancer.Ingress {
		if ingress.IPMode != nil && *ingress.IPMode != corev1.LoadBalancerIPModeVIP {
			continue
		}
		if ranges == nil || external.chain == "" {
			p.frontend(ingress.IP, external)
			continue
		}
		name := "fw-" + p.id
		var chain ruleset.Chain
		for i := range ranges {
			chain = append(chain, ruleset.Step{Clients: &ranges[i], Goto: external.chain})
		}
		p.out.Chains[name] = append(chain, ruleset.Step{Drop: true})
		p.frontend(ingress.IP, lead{chain: name})
	}
}

// sourceRanges are the networks whose clients may use the load balancer; nil:
// all of them. The annotation is the older form of the field.
func sourceRanges(svc *corev1.Service) []netip.Prefix {
	texts := svc.Spec.LoadBalancerSourceRanges
	if older := svc.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]; len(texts) == 0 && strings.TrimSpace(older) != "" {
		texts = strings.Split(older, ",")
	}
	if len(texts) == 0 {
		return nil
	}
	out := []netip.Prefix{}
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil || !prefix.Addr().Is4() {
			continue // of the other family, or not to be read: it lets nobody in
		}
		if prefix.Bits() == 0 {
			return nil
		}
		out = append(out, prefix.Masked())
	}
	return out
}

// frontend leads an address on, or refuses it.
func (p *portRender) frontend(ip string, to lead) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is4() {
		return
	}
	key := ruleset.Key{Addr: addr, Protocol: p.protocol, Port: uint16(p.port.Port)}
	p.ways(key)
	switch {
	case to.pick != 0:
		key.Set = ruleset.Picks
		p.targets(key, ruleset.Targets)
		p.out.Elements[key] = ruleset.Pick(to.pick, len(p.all))
	case to.chain != "":
		key.Set = ruleset.Frontends
		p.out.Elements[key] = to.chain
	default:
		key.Set = ruleset.Refused
		p.out.Elements[key] = ""
	}
}

// clusterLead is where the cluster's own addresses lead.
func (p *portRender) clusterLead() lead {
	policy := p.svc.Spec.InternalTrafficPolicy
	if len(p.all) > 0 && p.sticky() == 0 && (policy == nil || *policy != corev1.ServiceInternalTrafficPolicyLocal) {
		return lead{pick: ruleset.ForCluster}
	}
	return lead{chain: p.clusterChain()}
}

// externalLead is where node ports and external addresses lead; a chain where
// somebody else's chain must be able to go there.
func (p *portRender) externalLead(mayPick bool) lead {
	if mayPick && len(p.all) > 0 && p.sticky() == 0 && p.svc.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return lead{pick: ruleset.ForWorld}
	}
	return lead{chain: p.externalChain()}
}

// clusterChain is where the cluster's own addresses lead; empty: refused.
func (p *portRender) clusterChain() string {
	outside := false
	toPods := false
	unlessNode := ruleset.Step{Pods: &outside, NodeItself: &toPods, Masquerade: true}
	if policy := p.svc.Spec.InternalTrafficPolicy; policy != nil && *policy == corev1.ServiceInternalTrafficPolicyLocal {
		if len(p.local) == 0 {
			return p.dropChain()
		}
		return p.balanceChain("loc-", p.local)
	}
	if len(p.all) == 0 {
		return ""
	}
	name := p.balanceChain("svc-", p.all)
	p.out.Chains[name] = append(ruleset.Chain{unlessNode}, p.out.Chains[name]...)
	return name
}

// externalChain is where node ports and external addresses lead.
func (p *portRender) externalChain() string {
	if len(p.all) == 0 {
		return ""
	}
	yes := true
	cluster := p.balanceChain("svc-", p.all)
	name := "ext-" + p.id
	if p.svc.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		p.out.Chains[name] = ruleset.Chain{{Masquerade: true}, {Goto: cluster}}
		return name
	}
	chain := ruleset.Chain{
		{Pods: &yes, Goto: cluster},
		{NodeItself: &yes, Masquerade: true},
		{NodeItself: &yes, Goto: cluster},
	}
	if len(p.local) == 0 {
		p.out.Chains[name] = append(chain, ruleset.Step{Drop: true})
		return name
	}
	p.out.Chains[name] = append(chain, ruleset.Step{Goto: p.balanceChain("loc-", p.local)})
	return name
}

func (p *portRender) dropChain() string {
	name := "loc-" + p.id
	p.out.Chains[name] = ruleset.Chain{{Drop: true}}
	return name
}

// balanceChain makes the chain once; asking again gives its name.
func (p *portRender) balanceChain(prefix string, targets []ruleset.Target) string {
	name := prefix + p.id
	if _, made := p.out.Chains[name]; !made {
		p.out.Chains[name] = ruleset.Chain{{Balance: targets, Sticky: p.sticky()}}
	}
	return name
}

// sticky is how long a client keeps its endpoint; zero: not at all.
func (p *portRender) sticky() time.Duration {
	if p.svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	const byDefault = 3 * time.Hour
	c := p.svc.Spec.SessionAffinityConfig
	if c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
		return byDefault
	}
	return time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
}

// RenderHostPorts renders the host ports of a pod on this node, until it has
// ended: its ports may be another pod's then, and its address.
func RenderHostPorts(pod *corev1.Pod) Rendered {
	out := newRendered()
	addr, err := netip.ParseAddr(pod.Status.PodIP)
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if err != nil || !addr.Is4() || pod.Spec.HostNetwork || ended {
		return out
	}
	for _, port := range hostPorts(&pod.Spec) {
		protocol, ok := protocolNumber(port.Protocol)
		if !ok {
			continue
		}
		name := "host-" + chainID(string(pod.UID), port.HostIP, strconv.Itoa(int(port.HostPort)), string(port.Protocol))
		key := ruleset.Key{Set: ruleset.NodePorts, Protocol: protocol, Port: uint16(port.HostPort)}
		if ip, err := netip.ParseAddr(port.HostIP); err == nil && ip.Is4() && !ip.IsUnspecified() {
			key.Set, key.Addr = ruleset.Frontends, ip
		}
		target := ruleset.Target{Addr: addr, Port: uint16(port.ContainerPort)}
		out.Chains[name] = ruleset.Chain{{Balance: []ruleset.Target{target}}}
		if protocol == unix.IPPROTO_UDP {
			out.UDP[wayOf(key, target)] = struct{}{}
		}
		out.Elements[key] = name
		out.Elements[ruleset.Key{Set: ruleset.Hairpin, Addr: addr}] = ""
	}
	return out
}

// hostPorts are those of containers that run as long as the pod.
func hostPorts(spec *corev1.PodSpec) []*corev1.ContainerPort {
	var out []*corev1.ContainerPort
	add := func(c *corev1.Container) {
		for i := range c.Ports {
			if c.Ports[i].HostPort != 0 {
				out = append(out, &c.Ports[i])
			}
		}
	}
	for i := range spec.InitContainers {
		if always := spec.InitContainers[i].RestartPolicy; always != nil && *always == corev1.ContainerRestartPolicyAlways {
			add(&spec.InitContainers[i])
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	return out
}
