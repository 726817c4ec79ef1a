package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/base/thread"
)

// Addresses of the link between a machine and the outside, of RFC 5737's
// TEST-NET-1.
const (
	machineAddress = "192.0.2.2"
	outsideAddress = "192.0.2.1"
	linkBits       = "/24"
)

// Machine is a network namespace with a default route to a second one, the
// outside. No packet leaves the two.
type Machine struct {
	Address, OutsideAddress netip.Addr
	inside, outside         *os.File
}

// NewMachine makes the two namespaces. They go when the machine is closed and
// nothing runs in them any longer.
func NewMachine() (m *Machine, err error) {
	m = &Machine{Address: netip.MustParseAddr(machineAddress), OutsideAddress: netip.MustParseAddr(outsideAddress)}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if m.inside, err = newNamespace(); err != nil {
		return nil, err
	}
	if m.outside, err = newNamespace(); err != nil {
		return nil, err
	}
	err = m.Inside(func() error {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(m.outside.Fd()))}
		return errors.Join(netlink.LinkAdd(link), setUp(machineAddress))
	})
	if err != nil {
		return nil, fmt.Errorf("wire the machine: %w", err)
	}
	if err := m.Outside(func() error { return setUp(outsideAddress) }); err != nil {
		return nil, fmt.Errorf("wire the outside: %w", err)
	}
	if err := m.Inside(m.route); err != nil {
		return nil, fmt.Errorf("set the default route: %w", err)
	}
	return m, nil
}

// Neighbour is the outside as a machine, whose outside is this one. It goes
// with this machine.
func (m *Machine) Neighbour() *Machine {
	return &Machine{Address: m.OutsideAddress, OutsideAddress: m.Address, inside: m.outside, outside: m.inside}
}

func newNamespace() (*os.File, error) {
	var file *os.File
	err := thread.Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		var err error
		file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return file, err
}

// setUp gives the namespace's link its address.
func setUp(address string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(address + linkBits)
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetUp(lo), netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

func (m *Machine) route() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: m.OutsideAddress.AsSlice()})
}

// Move takes the machine's address and default route away and, unless that is
// the zero address, gives it another address and the route again, as another
// network does.
func (m *Machine) Move(to netip.Addr) error {
	return m.Inside(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		had, err := netlink.AddrList(link, unix.AF_INET)
		if err != nil {
			return err
		}
		for _, a := range had { // the route goes with the address
			if err := netlink.AddrDel(link, &a); err != nil {
				return err
			}
		}
		if m.Address = to; !to.IsValid() {
			return nil
		}
		addr, err := netlink.ParseAddr(to.String() + linkBits)
		if err != nil {
			return err
		}
		return errors.Join(netlink.AddrAdd(link, addr), m.route())
	})
}

// Close lets go of the namespaces.
func (m *Machine) Close() {
	for _, f := range []*os.File{m.inside, m.outside} {
		if f != nil {
			_ = f.Close()
		}
	}
}

func in(namespace *os.File, f func() error) error {
	return thread.Run(func() error {
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// Inside runs f on a thread of the machine's network namespace. What f starts
// as a process or opens as a socket belongs to the machine for good.
func (m *Machine) Inside(f func() error) error { return in(m.inside, f) }

// Outside runs f as another computer that reaches the machine over its link.
func (m *Machine) Outside(f func() error) error { return in(m.outside, f) }

// Dialer opens connections; addresses are given as numbers.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial opens a connection from the machine itself.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(ctx, m.inside, network, address)
}

// DialOutside opens a connection from the outside.
func (m *Machine) DialOutside(ctx context.Context, network, address string) (net.Conn, error) {
	return dialIn(ctx, m.outside, network, address)
}

func dialIn(ctx context.Context, namespace *os.File, network, address string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("only numbers can be dialled in a namespace: %w", err)
	}
	err = in(namespace, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listening socket on the machine itself.
func (m *Machine) Listen(network, address string) (net.Listener, error) {
	return listenIn(m.inside, network, address)
}

// ListenOutside opens a listening socket on the other computer.
func (m *Machine) ListenOutside(network, address string) (net.Listener, error) {
	return listenIn(m.outside, network, address)
}

func listenIn(namespace *os.File, network, address string) (l net.Listener, err error) {
	err = in(namespace, func() (err error) {
		l, err = new(net.ListenConfig).Listen(context.Background(), network, address)
		return err
	})
	return l, err
}

// ListenPacketOutside opens a packet socket at an address that the other
// computer gets for it.
func (m *Machine) ListenPacketOutside(network string, address netip.AddrPort) (conn net.PacketConn, err error) {
	err = m.Outside(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		own, err := netlink.ParseAddr(address.Addr().String() + "/32")
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(lo, own); err != nil {
			return err
		}
		conn, err = new(net.ListenConfig).ListenPacket(context.Background(), network, address.String())
		return err
	})
	return conn, err
}
