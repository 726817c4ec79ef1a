package kernel_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/policy/kernel"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

const (
	nodeIP, dnsIP    = "192.0.2.1", "10.96.0.10"
	podA, podB, podC = "10.244.0.2", "10.244.0.3", "10.244.0.4"
	edgeIP           = "10.244.0.1"
	edgeUser         = 61618
)

// lab is a node with three pods, a (app=a, answers on 80 and 81, port name
// http is 80), b (app=b) and c (app=c, in another namespace), and its DNS.
type lab struct {
	t             *testing.T
	node, a, b, c *nettest.Space
	book          *rules.Book
	table         *kernel.Table
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, node: nettest.New(t), book: rules.NewBook()}
	l.node.Node(nodeIP)
	l.a, l.b, l.c = l.node.Pod(podA), l.node.Pod(podB), l.node.Pod(podC)
	l.a.Answer(80, "a80")
	l.a.Answer(81, "a81")
	l.b.Answer(80, "b80")
	l.node.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(dnsIP), Mask: net.CIDRMask(32, 32)}})
	})
	l.answerDNS()
	l.node.Answer(6443, "api")
	l.pod("ns", "a", podA, rules.NamedPort{Name: "http", Protocol: rules.TCP, Port: 80})
	l.pod("ns", "b", podB)
	l.pod("other", "c", podC)
	l.pod("kube-system", "kube-dns", dnsIP)
	l.pod("kube-system", "edge", edgeIP)
	for _, name := range []string{"ns", "other", "kube-system"} {
		l.book.SetNamespace(name, labels.Set{"name": name})
	}
	l.table = l.open()
	l.rebuild()
	return l
}

// answerDNS answers on the DNS address.
func (l *lab) answerDNS() {
	var c net.PacketConn
	l.node.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", dnsIP+":53")
		return err
	})
	l.t.Cleanup(func() { _ = c.Close() })
	go func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte("dns"), from)
		}
	}()
}

func (l *lab) pod(namespace, name, address string, ports ...rules.NamedPort) {
	l.book.SetPod(rules.Pod{Key: rules.Key{Namespace: namespace, Name: name}, Labels: labels.Set{"app": name}, Addr: netip.MustParseAddr(address), Ports: ports, Local: true})
}

func (l *lab) open() *kernel.Table {
	l.t.Helper()
	table, err := kernel.Open(kernel.Config{Pods: netip.MustParsePrefix("10.244.0.0/16"), PodLinks: "p", OtherLinks: []string{"peer"}, EdgeUser: edgeUser, NetNS: l.node.FD()})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = table.Close() })
	return table
}

func (l *lab) rebuild() {
	l.t.Helper()
	if err := l.table.Rebuild(l.book.Whole(), netip.MustParseAddr(edgeIP)); err != nil {
		l.t.Fatal(err)
	}
}

// apply sets the policies, which stay until they are dropped, and ends what
// they do not allow.
func (l *lab) apply(policies ...*networkingv1.NetworkPolicy) {
	l.t.Helper()
	for _, p := range policies {
		if err := l.book.SetPolicy(p); err != nil {
			l.t.Fatal(err)
		}
	}
	l.take()
}

func (l *lab) take() {
	l.t.Helper()
	c := l.book.Take()
	if err := l.table.Apply(c); err != nil {
		l.t.Fatal(err)
	}
	if !c.Tightened {
		return
	}
	if _, err := l.table.EndFlows(l.book.Allowed); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) drop(name string) {
	l.t.Helper()
	l.book.DropPolicy(rules.Key{Namespace: "ns", Name: name})
	l.take()
}

// denied is how long nobody has to answer for a connection to count as
// denied. A slow machine cannot make a denied one answer. What is allowed has
// more time than it can need.
const denied, allowed = 300 * time.Millisecond, time.Minute

func (l *lab) wantAllowed(from *nettest.Space, address, answer string) {
	l.t.Helper()
	if got, err := from.Ask(address); err != nil || got != answer {
		l.t.Errorf("%s should answer %q, got %q, %v", address, answer, got, err)
	}
}

func (l *lab) wantDenied(from *nettest.Space, address string) {
	l.t.Helper()
	err := from.Try(func() error {
		c, err := net.DialTimeout("tcp4", address, denied)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	if err == nil {
		l.t.Errorf("%s should not be reached", address)
	}
}

// tables are the names of the tables that stand.
func (l *lab) tables() []string {
	l.t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(l.node.FD()))
	if err != nil {
		l.t.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		l.t.Fatal(err)
	}
	var out []string
	for _, t := range tables {
		out = append(out, t.Name)
	}
	return out
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func namespaceNamed(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"name": name}}
}

// ingress allows to pod a from the peers; egress from pod a to the peers.
func ingress(name string, ports []networkingv1.NetworkPolicyPort, peers ...networkingv1.NetworkPolicyPeer) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *selector("a"), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: ports}}}}
}

func egress(name, app string, ports []networkingv1.NetworkPolicyPort, peers ...networkingv1.NetworkPolicyPeer) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *selector(app), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress: []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: ports}}}}
}

func nobody(name string) *networkingv1.NetworkPolicy {
	p := ingress(name, nil)
	p.Spec.Ingress = nil
	return p
}

func port(protocol corev1.Protocol, p intstr.IntOrString, end int32) networkingv1.NetworkPolicyPort {
	out := networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &p}
	if end != 0 {
		out.EndPort = &end
	}
	return out
}

func pods(app string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: selector(app)}
}

func block(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}

func tcpPort(n int) networkingv1.NetworkPolicyPort {
	return port(corev1.ProtocolTCP, intstr.FromInt32(int32(n)), 0)
}
