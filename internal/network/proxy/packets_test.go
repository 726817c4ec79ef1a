package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/ruleset"
)

const (
	nodeIP = "192.0.2.77"
	podA   = "10.244.0.2"
	podB   = "10.244.0.3"
	podC   = "10.244.0.4"
)

// lab is a node with three pods and an installed table.
type lab struct {
	t       *testing.T
	node    *nettest.Space
	a, b, c *nettest.Space
	table   *ruleset.Table
	book    *book
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, node: nettest.New(t), book: newBook()}
	l.node.Node(nodeIP)
	l.a, l.b, l.c = l.node.Pod(podA), l.node.Pod(podB), l.node.Pod(podC)
	l.a.Answer(8080, "a")
	l.b.Answer(8080, "b")
	l.table = l.open()
	// A route for service addresses, as podnet makes it.
	l.node.Do(func() error { return routeServices() })
	return l
}

func (l *lab) open() *ruleset.Table {
	l.t.Helper()
	table, err := ruleset.Open(ruleset.Config{Pods: netip.MustParsePrefix("10.244.0.0/16"), NetNS: l.node.FD()})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = table.Close() })
	return table
}

func (l *lab) apply(svc *corev1.Service, endpoints ...discoveryv1.Endpoint) {
	l.t.Helper()
	r := newRendered()
	if svc != nil {
		r = RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, endpoints)}, Place{Node: "n1"})
	}
	if err := l.table.Apply(l.book.set(owner{namespace: "ns", name: "web"}, r, newChange())); err != nil {
		l.t.Fatal(err)
	}
}

// who asks often and returns the set of those who answered.
func (l *lab) who(from *nettest.Space, address string) string {
	l.t.Helper()
	seen := map[string]bool{}
	for range 24 {
		answer, err := from.Ask(address)
		if err != nil {
			l.t.Fatalf("ask %s: %v", address, err)
		}
		name, _, _ := strings.Cut(answer, " ")
		seen[name] = true
	}
	out := ""
	for _, name := range []string{"a", "b"} {
		if seen[name] {
			out += name
		}
	}
	return out
}

func TestServiceBalancesOverReadyEndpoints(t *testing.T) {
	l := newLab(t)
	svc := service()
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))
	for _, from := range []*nettest.Space{l.c, l.node} {
		if got := l.who(from, "10.96.0.20:80"); got != "ab" {
			t.Errorf("both endpoints should answer, got %q", got)
		}
	}
	l.apply(svc, endpoint(podA, false), endpoint(podB, true))
	if got := l.who(l.c, "10.96.0.20:80"); got != "b" {
		t.Errorf("only the ready endpoint should answer, got %q", got)
	}
}

func TestPodReachesItselfThroughItsService(t *testing.T) {
	l := newLab(t)
	l.apply(service(), endpoint(podA, true))
	answer, err := l.a.Ask("10.96.0.20:80")
	if err != nil {
		t.Fatal(err)
	}
	if answer != "a "+nodeIP {
		t.Errorf("a hairpin connection comes from the node's address; got %q", answer)
	}
}

func TestClientAddressIsKeptForPods(t *testing.T) {
	l := newLab(t)
	l.apply(service(), endpoint(podA, true))
	if answer, err := l.c.Ask("10.96.0.20:80"); err != nil || answer != "a "+podC {
		t.Errorf("got %q, %v; want the pod's own address", answer, err)
	}
}

func TestNodePortAnswersOnTheNodesAddress(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc.Spec.Ports[0].NodePort = 30080
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))
	for _, from := range []*nettest.Space{l.c, l.node} {
		if got := l.who(from, nodeIP+":30080"); got != "ab" {
			t.Errorf("both endpoints should answer on the node port, got %q", got)
		}
	}
}

// A Service that loses its last endpoint drops chains that lead to each other.
func TestServiceThatLosesItsEndpoints(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc.Spec.Ports[0].NodePort = 30080
	for range 8 { // the order in which chains go is random
		l.apply(svc, endpoint(podA, true))
		l.apply(svc)
	}
	if answer, err := l.c.Ask("10.96.0.20:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("want connection refused, got %q, %v", answer, err)
	}
}

// A UDP flow goes on to its endpoint by the kernel's memory; once that is
// ended for a gone endpoint, the same flow meets a living one.
func TestUDPFlowLeavesAGoneEndpoint(t *testing.T) {
	l := newLab(t)
	l.a.AnswerUDP(8080, "a")
	l.b.AnswerUDP(8080, "b")
	svc := service()
	svc.Spec.Ports[0].Protocol = corev1.ProtocolUDP
	udp := func(addr string) {
		slice := sliceOf(svc, []discoveryv1.Endpoint{endpoint(addr, true)})
		slice.Ports[0].Protocol = &svc.Spec.Ports[0].Protocol
		r := RenderService(svc, []*discoveryv1.EndpointSlice{slice}, Place{Node: "n1"})
		if err := l.table.Apply(l.book.set(owner{namespace: "ns", name: "web"}, r, newChange())); err != nil {
			t.Fatal(err)
		}
	}
	udp(podA)
	ask := l.c.DialUDP("10.96.0.20:80")
	if answer, err := ask(); err != nil || answer != "a "+podC {
		t.Fatalf("got %q, %v", answer, err)
	}
	udp(podB)
	went := Flow{To: netip.MustParseAddrPort("10.96.0.20:80"), By: netip.MustParseAddrPort(podA + ":8080")}
	for _, other := range []Flow{
		{To: netip.MustParseAddrPort("10.96.0.21:80"), By: went.By}, {To: netip.MustParseAddrPort("10.96.0.20:81"), By: went.By},
		{To: went.To, By: netip.MustParseAddrPort(podA + ":8081")}, {To: went.To, By: netip.MustParseAddrPort(podB + ":8080")},
	} {
		l.node.Do(func() error { return ForgetUDP(func(f Flow) bool { return f == other }) })
		if answer, err := ask(); err != nil || answer != "a "+podC {
			t.Errorf("after the flows %v ended, the flow meets %q, %v", other, answer, err)
		}
	}
	if !l.book.gone(went) {
		t.Error("the flow is said to go on")
	}
	l.node.Do(func() error { return ForgetUDP(l.book.gone) })
	if answer, err := ask(); err != nil || answer != "b "+podC {
		t.Errorf("after its endpoint went, the flow meets %q, %v", answer, err)
	}
}

// A UDP flow that began before its Service was there meets it all the same.
func TestUDPFlowFromBeforeItsService(t *testing.T) {
	l := newLab(t)
	l.a.AnswerUDP(8080, "a")
	client := l.node.Pod(clientIP)
	l.node.AnswerUDP(30080, "node") // so that the flow is tracked, untranslated
	ask := client.DialUDP(nodeIP + ":30080")
	if answer, err := ask(); err != nil || answer != "node "+clientIP {
		t.Fatalf("got %q, %v", answer, err)
	}
	svc := service()
	svc.Spec.Type, svc.Spec.Ports[0].Protocol, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, corev1.ProtocolUDP, 30080
	slice := sliceOf(svc, []discoveryv1.Endpoint{endpoint(podA, true)})
	slice.Ports[0].Protocol = &svc.Spec.Ports[0].Protocol
	change := l.book.set(owner{namespace: "ns", name: "web"}, RenderService(svc, []*discoveryv1.EndpointSlice{slice}, Place{Node: "n1"}), newChange())
	if err := l.table.Apply(change); err != nil {
		t.Fatal(err)
	}
	l.book.fresh.add(change)
	l.node.Do(func() error { return ForgetUDP(l.book.gone) })
	if answer, err := ask(); err != nil || answer != "a "+nodeIP {
		t.Errorf("the flow meets %q, %v", answer, err)
	}
}

// The kernel takes SCTP rules whether or not it has SCTP sockets.
func TestSCTPServiceStands(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.Type, svc.Spec.Ports[0].Protocol, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, corev1.ProtocolSCTP, 30080
	slice := sliceOf(svc, []discoveryv1.Endpoint{endpoint(podA, true)})
	slice.Ports[0].Protocol = &svc.Spec.Ports[0].Protocol
	r := RenderService(svc, []*discoveryv1.EndpointSlice{slice}, Place{Node: "n1"})
	if err := l.table.Apply(l.book.set(owner{namespace: "ns", name: "web"}, r, newChange())); err != nil {
		t.Fatal(err)
	}
	standing, err := l.table.Current()
	if err != nil {
		t.Fatal(err)
	}
	key := ruleset.Key{Set: ruleset.Targets, Addr: netip.MustParseAddr("10.96.0.20"), Protocol: 132, Port: 80}
	if got := standing.Elements[key]; got != podA+":8080" {
		t.Errorf("the target is %q", got)
	}
}

func TestServiceWithoutEndpointsIsRefused(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc.Spec.Ports[0].NodePort = 30080
	l.apply(svc)
	for _, from := range []*nettest.Space{l.c, l.node} {
		for _, address := range []string{"10.96.0.20:80", nodeIP + ":30080"} {
			if answer, err := from.Ask(address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s (from a pod: %v): want connection refused, got %q, %v", address, from == l.c, answer, err)
			}
		}
	}
}

func TestSessionAffinityKeepsTheEndpointUntilItGoes(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))
	first := l.who(l.c, "10.96.0.20:80")
	if len(first) != 1 {
		t.Fatalf("one client should meet one endpoint, met %q", first)
	}
	other := map[string]string{"a": "b", "b": "a"}[first]
	l.apply(svc, endpoint(map[string]string{"a": podA, "b": podB}[other], true))
	if got := l.who(l.c, "10.96.0.20:80"); got != other {
		t.Errorf("after its endpoint went, the client should meet %q, met %q", other, got)
	}
}

// Nothing here passes a bridge, so that it makes no difference whether bridged
// packets are shown to the rules of IP, as Docker and others have it. Where the
// kernel cannot do that there is nothing to switch.
func TestBridgedPacketsAreNoMatter(t *testing.T) {
	const file = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	l := newLab(t)
	l.apply(service(), endpoint(podA, true), endpoint(podB, true))
	for _, value := range []string{"0", "1"} {
		l.node.Do(func() error {
			if err := os.WriteFile(file, []byte(value), 0); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		})
		if got := l.who(l.c, "10.96.0.20:80"); got != "ab" {
			t.Errorf("%s = %s: a Service leads to %q", file, value, got)
		}
		if got := l.who(l.a, podB+":8080"); got != "b" {
			t.Errorf("%s = %s: a pod's address leads to %q", file, value, got)
		}
	}
}

// Where more clients come than are remembered, the others are served all the
// same.
func TestSessionAffinityOfVeryManyClients(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))
	conn, err := nftables.New(nftables.WithNetNSFd(l.node.FD()))
	if err != nil {
		t.Fatal(err)
	}
	sets, err := conn.GetSets(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: ruleset.TableName})
	if err != nil {
		t.Fatal(err)
	}
	clients := sets[slices.IndexFunc(sets, func(s *nftables.Set) bool { return s.Dynamic })]
	all := make([]nftables.SetElement, 65535)
	for i := range all {
		all[i] = nftables.SetElement{Key: []byte{11, 0, byte(i >> 8), byte(i)}, Val: []byte{1, 2, 3, 4}}
	}
	for chunk := range slices.Chunk(all, 500) {
		if err := errors.Join(conn.SetAddElements(clients, chunk), conn.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.who(l.c, "10.96.0.20:80"); got == "" {
		t.Error("nobody answers")
	}
	if n := l.clients(); n != len(all) {
		t.Errorf("%d clients are remembered, want %d", n, len(all))
	}
}

// A client that stays away for the time is forgotten, and spread like others.
func TestSessionAffinityExpires(t *testing.T) {
	l := newLab(t)
	svc := service()
	second := int32(1)
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	svc.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &second}}
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))
	met := map[string]bool{}
	for deadline := time.Now().Add(5 * time.Minute); len(met) < 2 && time.Now().Before(deadline); {
		answer, err := l.c.Ask("10.96.0.20:80")
		if err != nil {
			t.Fatal(err)
		}
		met[answer[:1]] = true
		for look := time.Tick(20 * time.Millisecond); l.clients() > 0; <-look { // while somebody is remembered
			if !time.Now().Before(deadline) {
				t.Fatal("a client is not forgotten")
			}
		}
	}
	if len(met) < 2 {
		t.Errorf("a client that is forgotten again and again always meets %v", met)
	}
}

// clients counts those that the kernel remembers.
func (l *lab) clients() (n int) {
	l.t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(l.node.FD()))
	if err != nil {
		l.t.Fatal(err)
	}
	sets, err := conn.GetSets(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: ruleset.TableName})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range sets {
		if !s.Dynamic {
			continue
		}
		elements, err := conn.GetSetElements(s)
		if err != nil {
			l.t.Fatal(err)
		}
		n += len(elements)
	}
	return n
}

func TestRestartGoesOnFromWhatStands(t *testing.T) {
	l := newLab(t)
	svc := service()
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	l.apply(svc, endpoint(podA, true), endpoint(podB, true))

	again := l.open() // as a restarted process
	standing, err := again.Current()
	if err != nil {
		t.Fatal(err)
	}
	if change := ruleset.Diff(standing, l.book.state()); !change.Empty() {
		t.Errorf("nothing should have to be changed, got %+v", change)
	}
	l.table = again
	l.apply(nil)
	standing, err = again.Current()
	if err != nil {
		t.Fatal(err)
	}
	empty := ruleset.Standing{Chains: map[string]string{}, Elements: map[ruleset.Key]string{}}
	if diff := cmp.Diff(empty, standing, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("a deleted Service leaves (-none +left):\n%s", diff)
	}
}

func TestManyServicesInBoundedBatches(t *testing.T) {
	l := newLab(t)
	change := newChange()
	const n = 3000
	for i := range n {
		svc := service()
		svc.Name = fmt.Sprintf("s%d", i)
		svc.Spec.ClusterIP = netip.AddrFrom4([4]byte{10, 96, byte(1 + i/250), byte(1 + i%250)}).String()
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
		r := RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, []discoveryv1.Endpoint{endpoint(podA, true)})}, Place{Node: "n1"})
		change = l.book.set(owner{namespace: "ns", name: svc.Name}, r, change)
	}
	if err := l.table.Apply(change); err != nil {
		t.Fatal(err)
	}
	standing, err := l.table.Current()
	if err != nil {
		t.Fatal(err)
	}
	if left := ruleset.Diff(standing, l.book.state()); !left.Empty() || len(standing.Elements) < 2*n || len(standing.Chains) != 0 {
		t.Errorf("%d chains and %d elements stand; left to set: %d", len(standing.Chains), len(standing.Elements), len(left.SetKeys))
	}
	if got := l.who(l.c, "10.96.12.250:80"); got != "a" {
		t.Errorf("the last Service answers %q", got)
	}
}
