package kernel_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/network/policy/kernel"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

func TestIngress(t *testing.T) {
	tcp, udp, sctp := corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP
	for name, c := range map[string]struct {
		policy               *networkingv1.NetworkPolicy
		b80, b81, c80, nodes bool
	}{
		"nobody":          {policy: nobody("p")},
		"everybody":       {policy: ingress("p", nil), b80: true, b81: true, c80: true},
		"pods":            {policy: ingress("p", nil, pods("b")), b80: true, b81: true},
		"pods elsewhere":  {policy: ingress("p", nil, pods("c"))},
		"namespace":       {policy: ingress("p", nil, networkingv1.NetworkPolicyPeer{NamespaceSelector: namespaceNamed("other")}), c80: true},
		"pods, namespace": {policy: ingress("p", nil, networkingv1.NetworkPolicyPeer{NamespaceSelector: namespaceNamed("other"), PodSelector: selector("b")}, pods("b")), b80: true, b81: true},
		"block":           {policy: ingress("p", nil, block(podB+"/32")), b80: true, b81: true},
		"block with hole": {policy: ingress("p", nil, block("10.244.0.0/24", podB+"/32")), c80: true},
		"two blocks":      {policy: ingress("p", nil, block(podB+"/32"), block(podC+"/32"), block("255.255.255.255/32")), b80: true, b81: true, c80: true},
		"port":            {policy: ingress("p", []networkingv1.NetworkPolicyPort{port(tcp, intstr.FromInt32(80), 0)}), b80: true, c80: true},
		"ports":           {policy: ingress("p", []networkingv1.NetworkPolicyPort{port(tcp, intstr.FromInt32(65535), 0), port(tcp, intstr.FromInt32(81), 0)}, pods("b")), b81: true},
		"range":           {policy: ingress("p", []networkingv1.NetworkPolicyPort{port(tcp, intstr.FromInt32(81), 90)}), b81: true},
		"name":            {policy: ingress("p", []networkingv1.NetworkPolicyPort{port(tcp, intstr.FromString("http"), 0)}), b80: true, c80: true},
		"other protocols": {policy: ingress("p", []networkingv1.NetworkPolicyPort{port(udp, intstr.FromInt32(80), 0), port(sctp, intstr.FromInt32(80), 0)})},
		"many of both":    {policy: ingress("p", []networkingv1.NetworkPolicyPort{port(sctp, intstr.FromInt32(1), 9), port(tcp, intstr.FromString("http"), 0)}, pods("b"), block("203.0.113.0/24"), pods("none")), b80: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.apply(c.policy)
			for _, probe := range []struct {
				allowed bool
				try     func(bool)
			}{
				{c.b80, func(ok bool) { l.want(ok, l.b, podA+":80", "a80 "+podB) }},
				{c.b81, func(ok bool) { l.want(ok, l.b, podA+":81", "a81 "+podB) }},
				{c.c80, func(ok bool) { l.want(ok, l.c, podA+":80", "a80 "+podC) }},
			} {
				probe.try(probe.allowed)
			}
			// The node reaches its pods, a pod itself, and who is not selected
			// is reached as ever.
			l.wantAllowed(l.node, podA+":80", "a80 "+nodeIP)
			l.wantAllowed(l.a, podA+":80", "a80 "+podA)
			l.wantAllowed(l.a, podB+":80", "b80 "+podA)
		})
	}
}

func TestEgress(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply(egress("p", "b", []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, intstr.FromString("http"), 0)}, pods("a")))
	l.wantAllowed(l.b, podA+":80", "a80 "+podB)
	l.wantDenied(l.b, podA+":81")
	l.wantDenied(l.b, nodeIP+":6443")
	l.wantAllowed(l.c, nodeIP+":6443", "api "+podC)
	l.apply(egress("q", "b", nil, block(nodeIP+"/32")))
	l.wantAllowed(l.b, nodeIP+":6443", "api "+podB)
	l.drop("p")
	l.wantDenied(l.b, podA+":80")
	l.drop("q")
	l.wantAllowed(l.b, podA+":81", "a81 "+podB)
}

func (l *lab) want(allowed bool, from interface {
	Ask(string) (string, error)
	Try(func() error) error
}, address, answer string) {
	l.t.Helper()
	if allowed {
		if got, err := from.Ask(address); err != nil || got != answer {
			l.t.Errorf("%s should answer %q, got %q, %v", address, answer, got, err)
		}
		return
	}
	if err := from.Try(func() error {
		c, err := net.DialTimeout("tcp4", address, denied)
		if err == nil {
			_ = c.Close()
		}
		return err
	}); err == nil {
		l.t.Errorf("%s should not be reached", address)
	}
}

// The cluster DNS is answered by the node itself; policies name it by the
// labels that its pods have elsewhere.
func TestDNSIsAPeerAndASubject(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	dns := networkingv1.NetworkPolicyPeer{NamespaceSelector: namespaceNamed("kube-system"), PodSelector: selector("kube-dns")}
	l.apply(egress("p", "b", nil, pods("a")))
	l.wantDNS(false)
	l.apply(egress("q", "b", []networkingv1.NetworkPolicyPort{port(corev1.ProtocolUDP, intstr.FromInt32(53), 0)}, dns))
	l.wantDNS(true)
	deny := nobody("dns")
	deny.Namespace, deny.Spec.PodSelector = "kube-system", *selector("kube-dns")
	l.apply(deny)
	l.wantDNS(false)
}

func (l *lab) wantDNS(answered bool) {
	l.t.Helper()
	var got string
	err := l.b.Try(func() error {
		c, err := net.Dial("udp4", dnsIP+":53")
		if err != nil {
			return err
		}
		defer c.Close()
		wait := denied
		if answered {
			wait = time.Minute
		}
		if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
		buffer := make([]byte, 64)
		n, err := c.Read(buffer)
		got = string(buffer[:n])
		return err
	})
	if answered != (err == nil) {
		l.t.Errorf("the DNS should answer: %v; got %q, %v", answered, got, err)
	}
}

// What the edge sends to pods has an address of the pod range, and is judged.
func TestEdgeIsAPeer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.wantEdge(podA, "a80 "+edgeIP)
	l.apply(nobody("p"))
	l.wantEdge(podA, "")
	l.wantAllowed(l.node, podA+":80", "a80 "+nodeIP)
	l.apply(ingress("q", nil, networkingv1.NetworkPolicyPeer{NamespaceSelector: namespaceNamed("kube-system"), PodSelector: selector("edge")}))
	l.wantEdge(podA, "a80 "+edgeIP)
}

// wantEdge asks a pod as the edge would; an empty answer means denied.
func (l *lab) wantEdge(pod, answer string) {
	l.t.Helper()
	var got []byte
	err := l.node.Try(func() error {
		fd, err := asUser(edgeUser, func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		wait := unix.Timeval{Sec: 60}
		if answer == "" {
			wait = unix.Timeval{Usec: denied.Microseconds()}
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 80, Addr: netip.MustParseAddr(pod).As4()}); err != nil {
			return err
		}
		got = make([]byte, 64)
		n, err := unix.Read(fd, got)
		got = got[:max(n, 0)]
		return err
	})
	if string(got) != answer || (answer != "") != (err == nil) {
		l.t.Errorf("the edge gets %q, %v; want %q", got, err, answer)
	}
}

// asUser does something under another user id for files, of this thread alone.
func asUser(id int, do func() (int, error)) (int, error) {
	if err := unix.Setfsuid(id); err != nil {
		return 0, fmt.Errorf("take the user id: %w", err)
	}
	fd, err := do()
	if back := unix.Setfsuid(0); back != nil && err == nil {
		return 0, fmt.Errorf("give the user id back: %w", back)
	}
	return fd, err
}

// talk is a connection of pod b to a listener of pod a that stays open.
type talk struct{ client, server net.Conn }

func (l *lab) talk() *talk {
	l.t.Helper()
	var listener net.Listener
	l.a.Do(func() (err error) {
		listener, err = net.Listen("tcp4", ":7000")
		return err
	})
	defer listener.Close()
	out := &talk{}
	l.b.Do(func() (err error) {
		out.client, err = net.DialTimeout("tcp4", podA+":7000", time.Minute)
		return err
	})
	server, err := listener.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	out.server = server
	l.t.Cleanup(func() { _ = out.client.Close(); _ = out.server.Close() })
	return out
}

// passes tells whether a byte gets through within the time.
func (c *talk) passes(t *testing.T, from, to net.Conn, within time.Duration) bool {
	t.Helper()
	if _, err := from.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := to.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := to.Read(make([]byte, 1))
	return err == nil
}

func TestConnectionsEndWhenTheyAreAllowedNoLonger(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	allow := ingress("p", nil, pods("b"))
	l.apply(allow)
	c := l.talk()
	if !c.passes(t, c.client, c.server, time.Minute) || !c.passes(t, c.server, c.client, time.Minute) {
		t.Fatal("an allowed connection does not work")
	}
	l.apply(egress("unrelated", "b", nil)) // everything: nothing ends
	if !c.passes(t, c.client, c.server, time.Minute) {
		t.Fatal("a connection that is allowed ended")
	}
	l.apply(nobody("p"))
	// The server's side must not open it anew, nor the client's.
	if c.passes(t, c.server, c.client, denied) || c.passes(t, c.client, c.server, denied) {
		t.Error("a connection goes on that no policy allows any more")
	}
}

func TestAPodThatLosesItsLabelLosesItsConnections(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply(ingress("p", nil, pods("b")))
	c := l.talk()
	l.book.SetPod(rules.Pod{Key: rules.Key{Namespace: "ns", Name: "b"}, Addr: netip.MustParseAddr(podB), Local: true})
	l.take()
	if c.passes(t, c.client, c.server, denied) {
		t.Error("a connection goes on that the policy does not allow to the pod's new labels")
	}
}

func TestAnotherPodsAddressIsNoWayOut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply(egress("p", "b", nil, pods("none")))
	l.b.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(podC), Mask: net.CIDRMask(32, 32)}})
	})
	got := make(chan string, 1)
	l.a.Do(func() error {
		c, err := net.ListenPacket("udp4", ":9000")
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = c.Close() })
		go func() {
			buffer := make([]byte, 64)
			n, _, err := c.ReadFrom(buffer)
			if err == nil {
				got <- string(buffer[:n])
			}
		}()
		return nil
	})
	send := func(from *net.UDPAddr, text string) func() error {
		return func() error {
			c, err := net.DialUDP("udp4", from, &net.UDPAddr{IP: net.ParseIP(podA), Port: 9000})
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte(text))
			return err
		}
	}
	l.b.Do(send(&net.UDPAddr{IP: net.ParseIP(podC)}, "forged"))
	l.c.Do(send(nil, "true"))
	select {
	case text := <-got:
		if text != "true" {
			t.Errorf("a packet with another pod's address came through: %q", text)
		}
	case <-time.After(time.Minute):
		t.Error("the true packet did not come")
	}
}

func TestRebuildTakesOverAndRemoveLeavesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply(ingress("p", nil, pods("b")))
	for range 3 { // as a process that is started again
		l.table = l.open()
		if standing, err := l.table.Standing(); err != nil || !standing {
			t.Errorf("nothing stands: %v", err)
		}
		l.rebuild()
		if got := l.tables(); len(got) != 1 {
			t.Errorf("tables that stand: %v", got)
		}
		l.wantAllowed(l.b, podA+":80", "a80 "+podB)
		l.wantDenied(l.c, podA+":80")
	}
	l.apply(ingress("q", nil, pods("none"))) // changes go on from what was built
	if err := kernel.Remove(l.node.FD()); err != nil {
		t.Fatal(err)
	}
	if got := l.tables(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// A policy of thousands of ranges, and thousands of peers, fit.
func TestLargePolicies(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := ingress("p", nil, pods("peer"), block(podB+"/32"))
	for i := range 3000 {
		p.Spec.Ingress[0].From = append(p.Spec.Ingress[0].From, block(fmt.Sprintf("172.%d.%d.%d/32", 16+i/4096, i/128%256, i%128*2)))
	}
	for i := range 1500 {
		p.Spec.Ingress[0].Ports = append(p.Spec.Ingress[0].Ports, port(corev1.ProtocolTCP, intstr.FromInt32(int32(80+2*i)), 0))
	}
	for i := range 4000 {
		l.book.SetPod(rules.Pod{Key: rules.Key{Namespace: "ns", Name: fmt.Sprint("peer", i)}, Labels: map[string]string{"app": "peer"}, Addr: netip.AddrFrom4([4]byte{10, 245, byte(i / 250), byte(i % 250)})})
	}
	l.apply(p)
	l.wantAllowed(l.b, podA+":80", "a80 "+podB)
	l.wantDenied(l.b, podA+":81")
	l.wantDenied(l.c, podA+":80")
	l.drop("p")
	if got := l.tables(); !slices.Equal(got, []string{"knarr-policy"}) {
		t.Errorf("tables that stand: %v", got)
	}
}
