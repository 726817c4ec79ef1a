package podnet

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// pod is a pod's network namespace with a netlink socket in it.
type pod struct {
	fd     int
	handle *netlink.Handle
}

func openPod(nsPath string) (*pod, error) {
	fd, err := unix.Open(nsPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: nsPath, Err: err}
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("network namespace %s: %w", nsPath, err)
	}
	return &pod{fd: fd, handle: h}, nil
}

func (p *pod) close() {
	p.handle.Close()
	unix.Close(p.fd)
}

// configure gives the pod's end its address and routes.
func (p *pod) configure(addr netip.Addr) error {
	link, err := p.handle.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("pod link: %w", err)
	}
	if err := p.handle.AddrAdd(link, &netlink.Addr{IPNet: host(addr)}); err != nil {
		return fmt.Errorf("pod address %s: %w", addr, err)
	}
	if err := p.handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("pod link: %w", err)
	}
	index := link.Attrs().Index
	if err := p.handle.NeighSet(neighbour(index, gateway, hostMAC)); err != nil {
		return fmt.Errorf("pod gateway: %w", err)
	}
	// The kernel resolves a gateway only by a route that reaches it.
	route := &netlink.Route{LinkIndex: index, Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}
	if err := p.handle.RouteAdd(route); err != nil {
		return fmt.Errorf("pod default route: %w", err)
	}
	return nil
}

// LoopbackUp brings up lo in the calling thread's network namespace.
func LoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// Counters are what a pod's link has carried, as the pod sees it.
type Counters struct {
	RxBytes, RxErrors, TxBytes, TxErrors uint64
}

// Stats returns the counters of a sandbox's link, read at the host end.
func Stats(sandboxID string) (Counters, error) {
	link, err := netlink.LinkByName(hostLink(sandboxID))
	if err != nil {
		return Counters{}, err
	}
	s := link.Attrs().Statistics
	if s == nil {
		return Counters{}, nil
	}
	return Counters{RxBytes: s.TxBytes, RxErrors: s.TxErrors, TxBytes: s.RxBytes, TxErrors: s.RxErrors}, nil
}
