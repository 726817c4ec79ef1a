package proxy

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

const (
	clientIP = "198.51.100.9"
	otherIP  = "203.0.113.9"
)

// balanced is a Service with the node's address in its load balancer status.
func balanced() *corev1.Service {
	svc := service()
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: nodeIP}}
	return svc
}

// silent tells that nobody answered at all, in contrast to a refusal.
func silent(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || os.IsTimeout(err)
}

func (l *lab) expect(from *nettest.Space, address, want string) {
	l.t.Helper()
	if got, err := from.Ask(address); err != nil || got != want {
		l.t.Errorf("%s answers %q, %v; want %q", address, got, err, want)
	}
}

func TestLoadBalancerAnswersOnTheNodesAddress(t *testing.T) {
	l := newLab(t)
	client := l.node.Pod(clientIP)
	l.apply(balanced(), endpoint(podA, true))
	l.expect(client, nodeIP+":80", "a "+nodeIP)
	l.expect(l.node, nodeIP+":80", "a "+nodeIP)
	l.apply(balanced())
	if got, err := client.Ask(nodeIP + ":80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without endpoints: %q, %v; want connection refused", got, err)
	}
	l.apply(service(), endpoint(podA, true))
	if got, err := client.Probe(nodeIP + ":80"); err == nil {
		t.Errorf("after the type changed the port still answers %q", got)
	}
}

// A load balancer that terminates connections itself (ipMode Proxy) is to be
// reached, not short-cut.
func TestProxyModeAddressIsLeftAlone(t *testing.T) {
	svc := balanced()
	mode := corev1.LoadBalancerIPModeProxy
	svc.Status.LoadBalancer.Ingress[0].IPMode = &mode
	r := RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, []discoveryv1.Endpoint{endpoint(podA, true)})}, Place{Node: "n1"})
	if len(r.Elements) == 0 {
		t.Error("nothing is rendered")
	}
	for key := range r.Elements {
		if key.Addr.String() == nodeIP {
			t.Errorf("%+v is rendered", key)
		}
	}
}

func TestSourceRangesLetOnlyTheirClientsIn(t *testing.T) {
	for name, svc := range map[string]*corev1.Service{"field": balanced(), "annotation": balanced()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a dropped packet is known by a time-out
			l := newLab(t)
			inside, outside := l.node.Pod(clientIP), l.node.Pod(otherIP)
			if name == "field" {
				svc.Spec.LoadBalancerSourceRanges = []string{"192.0.2.128/25", "198.51.100.0/24", "2001:db8::/32"}
			} else {
				svc.Annotations = map[string]string{corev1.AnnotationLoadBalancerSourceRangesKey: "198.51.100.0/24, 192.0.2.128/25"}
			}
			svc.Spec.Ports[0].NodePort = 30080
			l.apply(svc, endpoint(podA, true))
			l.expect(inside, nodeIP+":80", "a "+nodeIP)
			if got, err := outside.Probe(nodeIP + ":80"); !silent(err) {
				t.Errorf("another client: %q, %v; want silence", got, err)
			}
			// The ranges are the load balancer's, not the node port's.
			l.expect(outside, nodeIP+":30080", "a "+nodeIP)
		})
	}
}

func TestExternalAddresses(t *testing.T) {
	const external = "203.0.113.80"
	l := newLab(t)
	l.node.Do(func() error { return routed(netip.MustParsePrefix(external + "/32")) })
	client := l.node.Pod(clientIP)
	svc := service()
	svc.Spec.ExternalIPs = []string{external, nodeIP}
	l.apply(svc, endpoint(podA, true))
	for _, from := range []*nettest.Space{client, l.c, l.node} {
		for _, ip := range svc.Spec.ExternalIPs {
			l.expect(from, ip+":80", "a "+nodeIP)
		}
	}
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	l.apply(svc, endpoint(podA, true))
	l.expect(client, external+":80", "a "+clientIP)
	l.expect(l.c, external+":80", "a "+podC)
	l.apply(svc)
	for _, from := range []*nettest.Space{client, l.c, l.node} {
		if got, err := from.Ask(external + ":80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("without endpoints: %q, %v; want connection refused", got, err)
		}
	}
	l.apply(service(), endpoint(podA, true))
	if got, err := client.Probe(nodeIP + ":80"); err == nil {
		t.Errorf("an address that was taken back answers %q", got)
	}
}

// An external address is as good as the others of its Service: for an endpoint
// that meets itself by it, for UDP, and for clients that keep their endpoint.
// One of the other family is none.
func TestExternalAddressesAreAsTheOthers(t *testing.T) {
	const external = "203.0.113.80"
	l := newLab(t)
	l.a.AnswerUDP(8080, "a")
	client := l.node.Pod(clientIP)
	svc := service()
	svc.Spec.ExternalIPs = []string{"2001:db8::80", external}
	l.apply(svc, endpoint(podA, true))
	l.expect(l.a, external+":80", "a "+nodeIP)
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	l.apply(svc, endpoint(podA, true))
	l.expect(l.a, external+":80", "a "+nodeIP)

	svc.Spec.ExternalTrafficPolicy = ""
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))
	if byAddress, byPort := l.who(client, external+":80"), l.who(client, nodeIP+":30080"); len(byAddress) != 1 || byPort != byAddress {
		t.Errorf("a client that keeps its endpoint meets %q by the external address, %q by the node port", byAddress, byPort)
	}

	datagrams := service()
	datagrams.Spec.ExternalIPs, datagrams.Spec.Ports[0].Protocol = []string{external}, corev1.ProtocolUDP
	slice := sliceOf(datagrams, []discoveryv1.Endpoint{endpoint(podA, true)})
	slice.Ports[0].Protocol = &datagrams.Spec.Ports[0].Protocol
	r := RenderService(datagrams, []*discoveryv1.EndpointSlice{slice}, Place{Node: "n1"})
	if err := l.table.Apply(l.book.set(owner{namespace: "ns", name: "web"}, r, newChange())); err != nil {
		t.Fatal(err)
	}
	if answer, err := client.DialUDP(external + ":80")(); err != nil || answer != "a "+nodeIP {
		t.Errorf("a datagram is answered %q, %v", answer, err)
	}
	if got, err := client.Probe(external + ":80"); err == nil {
		t.Errorf("the port of another protocol answers %q", got)
	}
}

// An external address that is the load balancer's too lets in whom its ranges
// let in.
func TestExternalAddressOfTheLoadBalancer(t *testing.T) {
	l := newLab(t)
	inside, outside := l.node.Pod(clientIP), l.node.Pod(otherIP)
	svc := balanced()
	svc.Spec.ExternalIPs, svc.Spec.LoadBalancerSourceRanges = []string{nodeIP}, []string{"198.51.100.0/24"}
	l.apply(svc, endpoint(podA, true))
	l.expect(inside, nodeIP+":80", "a "+nodeIP)
	if got, err := outside.Probe(nodeIP + ":80"); !silent(err) {
		t.Errorf("another client: %q, %v; want silence", got, err)
	}
}

// Of two Services with one external address and port the first by name has it
// until it goes, however many endpoints each has.
func TestSharedExternalAddress(t *testing.T) {
	const external = "203.0.113.80"
	l := newLab(t)
	client := l.node.Pod(clientIP)
	put := func(name, cluster string, addresses ...string) {
		r := newRendered()
		if len(addresses) > 0 {
			svc := service()
			svc.Name, svc.Spec.ClusterIP, svc.Spec.ClusterIPs, svc.Spec.ExternalIPs = name, cluster, []string{cluster}, []string{external}
			var all []discoveryv1.Endpoint
			for _, a := range addresses {
				all = append(all, endpoint(a, true))
			}
			r = RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, all)}, Place{Node: "n1"})
		}
		if err := l.table.Apply(l.book.set(owner{namespace: "ns", name: name}, r, newChange())); err != nil {
			t.Fatal(err)
		}
	}
	put("second", "10.96.0.21", podA, podB)
	if got := l.who(client, external+":80"); got != "ab" {
		t.Errorf("alone it is answered by %q", got)
	}
	put("first", "10.96.0.20", podA)
	if got := l.who(client, external+":80"); got != "a" {
		t.Errorf("the first by name has the address; %q answer", got)
	}
	put("first", "")
	if got := l.who(client, external+":80"); got != "ab" {
		t.Errorf("after the first went it is answered by %q", got)
	}
}

// A pod's host ports lead to it on every address of the node, or on the one
// that they name; the client keeps its address.
func TestHostPorts(t *testing.T) {
	l := newLab(t)
	client := l.node.Pod(clientIP)
	pod := &corev1.Pod{Status: corev1.PodStatus{PodIP: podA}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
		{HostPort: 8088, ContainerPort: 8080}, {HostPort: 8089, ContainerPort: 8080, HostIP: nodeIP}, {HostPort: 8090, ContainerPort: 8080, HostIP: otherIP},
	}}}}}
	own := owner{pod: true, namespace: "ns", name: "a"}
	if err := l.table.Apply(l.book.set(own, RenderHostPorts(pod), newChange())); err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{":8088", ":8089"} {
		l.expect(client, nodeIP+port, "a "+clientIP)
		l.expect(l.c, nodeIP+port, "a "+podC)
		l.expect(l.a, nodeIP+port, "a "+nodeIP)
		l.expect(l.node, nodeIP+port, "a "+nodeIP)
	}
	if got, err := client.Probe(nodeIP + ":8090"); err == nil {
		t.Errorf("another address's port answers %q", got)
	}
	if err := l.table.Apply(l.book.set(own, newRendered(), newChange())); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Probe(nodeIP + ":8088"); err == nil {
		t.Errorf("the port of a pod that is gone answers %q", got)
	}
}

// A pod that ended stays in the API, with its address. Its host ports are free:
// the scheduler gives them to another pod of the node.
func TestHostPortsOfEndedPodsAreFree(t *testing.T) {
	l := newLab(t)
	client := l.node.Pod(clientIP)
	ports := corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{HostPort: 8088, ContainerPort: 8080}}}}}
	put := func(name string, pod *corev1.Pod) {
		pod.Spec = ports
		if err := l.table.Apply(l.book.set(owner{pod: true, namespace: "ns", name: name}, RenderHostPorts(pod), newChange())); err != nil {
			t.Fatal(err)
		}
	}
	now := metav1.Now()
	put("first", &corev1.Pod{Status: corev1.PodStatus{PodIP: podA, Phase: corev1.PodRunning}})
	put("first", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{PodIP: podA, Phase: corev1.PodRunning}})
	l.expect(client, nodeIP+":8088", "a "+clientIP) // until it has ended
	for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded} {
		put("first", &corev1.Pod{Status: corev1.PodStatus{PodIP: podA, Phase: phase}})
		put("second", &corev1.Pod{Status: corev1.PodStatus{PodIP: podB, Phase: corev1.PodRunning}})
		l.expect(client, nodeIP+":8088", "b "+clientIP)
	}
}

// With the policy Local a client keeps its address and meets local endpoints
// alone; what the node and its pods send goes anywhere.
func TestExternalTrafficPolicyLocal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client := l.node.Pod(clientIP)
	svc := service()
	svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, corev1.ServiceExternalTrafficPolicyLocal
	svc.Spec.Ports[0].NodePort = 30080
	elsewhere := endpoint(podB, true)
	other := "n2"
	elsewhere.NodeName = &other
	l.apply(svc, endpoint(podA, true), elsewhere)
	for range 8 {
		l.expect(client, nodeIP+":30080", "a "+clientIP)
	}
	if got := l.who(l.c, nodeIP+":30080"); got != "ab" {
		t.Errorf("a pod meets %q", got)
	}
	l.apply(svc, elsewhere)
	if got, err := client.Probe(nodeIP + ":30080"); !silent(err) {
		t.Errorf("without a local endpoint: %q, %v; want silence", got, err)
	}
	l.expect(l.node, nodeIP+":30080", "b "+nodeIP)
	// A local endpoint that ends serves where there is no other local one.
	l.apply(svc, ending(podA), elsewhere)
	l.expect(client, nodeIP+":30080", "a "+clientIP)
}

func TestInternalTrafficPolicyLocal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	svc := service()
	policy := corev1.ServiceInternalTrafficPolicyLocal
	svc.Spec.InternalTrafficPolicy = &policy
	elsewhere := endpoint(podB, true)
	other := "n2"
	elsewhere.NodeName = &other
	l.apply(svc, endpoint(podA, true), elsewhere)
	if got := l.who(l.c, "10.96.0.20:80"); got != "a" {
		t.Errorf("a pod meets %q, want the local endpoint", got)
	}
	l.apply(svc, elsewhere)
	if got, err := l.c.Probe("10.96.0.20:80"); !silent(err) {
		t.Errorf("without a local endpoint: %q, %v; want silence", got, err)
	}
}
