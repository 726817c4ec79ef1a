// Package nettest gives tests network namespaces of their own, with pods in
// them: real links and real packets that never leave the machine. Everything
// goes with the test.
package nettest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/base/thread"
)

// Space is a network namespace. It lives until the test ends.
type Space struct {
	t  testing.TB
	fd netns.NsHandle
}

// New makes an empty namespace with its loopback link up. The test needs root.
func New(t testing.TB) *Space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	s := &Space{t: t}
	err := thread.Run(func() (err error) {
		s.fd, err = netns.New()
		return err
	})
	if err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { _ = s.fd.Close() })
	s.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return s
}

// FD is the namespace's file descriptor.
func (s *Space) FD() int { return int(s.fd) }

// Do runs f on a thread inside the namespace and fails the test on its error.
func (s *Space) Do(f func() error) {
	s.t.Helper()
	if err := s.Try(f); err != nil {
		s.t.Fatal(err)
	}
}

// Try runs f on a thread inside the namespace.
func (s *Space) Try(f func() error) error {
	return thread.Run(func() error {
		if err := netns.Set(s.fd); err != nil {
			return err
		}
		return f()
	})
}

// Node makes the namespace a node: it forwards, and has the address.
func (s *Space) Node(addr string) {
	s.t.Helper()
	s.Do(func() error {
		// /proc/sys/net shows the namespace of the thread that opens it.
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(addr + "/32")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, a)
	})
}

// Pod adds a pod with the address, routed as the runtime does it.
func (s *Space) Pod(addr string) *Space {
	s.t.Helper()
	pod := New(s.t)
	gateway := net.IPv4(169, 254, 1, 1)
	name := fmt.Sprintf("p%x", netip.MustParseAddr(addr).As4())
	hostMAC, _ := net.ParseMAC("ee:ee:ee:ee:ee:ee")
	s.Do(func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: hostMAC}, PeerName: "eth0", PeerNamespace: netlink.NsFd(pod.FD())}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: host(addr)})
	})
	pod.Do(func() error {
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		index := eth.Attrs().Index
		if err := netlink.AddrAdd(eth, &netlink.Addr{IPNet: host(addr)}); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(eth); err != nil {
			return err
		}
		if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: index, IP: gateway, HardwareAddr: hostMAC, State: unix.NUD_PERMANENT}); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Gw: gateway, Flags: int(netlink.FLAG_ONLINK)})
	})
	return pod
}

func host(addr string) *net.IPNet {
	return &net.IPNet{IP: net.ParseIP(addr).To4(), Mask: net.CIDRMask(32, 32)}
}

// Answer listens on a TCP port of the namespace and answers each connection
// with the name and the client's address.
func (s *Space) Answer(port uint16, name string) {
	s.t.Helper()
	var l net.Listener
	s.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	s.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, "%s %s", name, c.RemoteAddr().(*net.TCPAddr).IP)
			_ = c.Close()
		}
	}()
}

// patience bounds an answer that is to come, silence one that is not: the
// former does not depend on how slow the machine is, and a slow machine makes
// nobody answer who is kept from it.
const (
	patience = time.Minute
	silence  = 2 * time.Second
)

// Ask connects from the namespace and returns what Answer said. Who answers may
// take long for it.
func (s *Space) Ask(address string) (string, error) { return s.ask(address, patience) }

// Probe is Ask where nobody is to answer, or not yet: it waits a moment only.
func (s *Space) Probe(address string) (string, error) { return s.ask(address, silence) }

func (s *Space) ask(address string, within time.Duration) (string, error) {
	var answer []byte
	err := s.Try(func() error {
		deadline := time.Now().Add(within)
		c, err := (&net.Dialer{Deadline: deadline}).Dial("tcp4", address)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
		answer, err = io.ReadAll(c)
		return err
	})
	return string(answer), err
}

// AnswerUDP answers each packet to a UDP port of the namespace with the name
// and the client's address.
func (s *Space) AnswerUDP(port uint16, name string) {
	s.t.Helper()
	var c net.PacketConn
	s.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		return err
	})
	s.t.Cleanup(func() { _ = c.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			_, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(name+" "+from.(*net.UDPAddr).IP.String()), from)
		}
	}()
}

// DialUDP opens a UDP flow from the namespace; ask sends a packet and returns
// what AnswerUDP said.
func (s *Space) DialUDP(address string) (ask func() (string, error)) {
	s.t.Helper()
	var c net.Conn
	s.Do(func() (err error) {
		c, err = net.Dial("udp4", address)
		return err
	})
	s.t.Cleanup(func() { _ = c.Close() })
	return func() (string, error) {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return "", err
		}
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
		buffer := make([]byte, 512)
		n, err := c.Read(buffer)
		return string(buffer[:n]), err
	}
}
