package sandbox

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/podnet"
)

// network gives sandboxes addresses of the node's range.
type network struct {
	file string
	log  *slog.Logger

	mu   sync.Mutex
	ipam *podnet.IPAM
}

// netRecord is the network on the disk.
type netRecord struct {
	CIDR netip.Prefix `json:"cidr"`
	Last netip.Addr   `json:"last"`
}

// openNetwork reads the range that was set earlier, where used are taken.
func openNetwork(dir string, used []netip.Addr, log *slog.Logger) *network {
	n := &network{file: filepath.Join(dir, "network.json"), log: log}
	var rec netRecord
	if err := atomicfile.ReadJSON(n.file, &rec); err != nil {
		return n
	}
	ipam, err := podnet.NewIPAM(rec.CIDR, rec.Last, used)
	if err != nil {
		log.Warn("dropping the recorded pod range", "error", err)
		return n
	}
	n.ipam = ipam
	return n
}

// ready says whether pods can have addresses.
func (n *network) ready() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ipam != nil
}

// setRange sets the node's range; used are addresses of pods that run.
func (n *network) setRange(cidr netip.Prefix, used []netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ipam != nil && n.ipam.Prefix() == cidr.Masked() {
		return nil
	}
	ipam, err := podnet.NewIPAM(cidr, netip.Addr{}, used)
	if err != nil {
		return fault.As(fault.Invalid, err)
	}
	n.ipam = ipam
	return n.saveLocked()
}

func (n *network) saveLocked() error {
	return atomicfile.WriteJSON(n.file, netRecord{CIDR: n.ipam.Prefix(), Last: n.ipam.Last()}, false)
}

func (n *network) allocate() (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ipam == nil {
		return netip.Addr{}, fault.New(fault.Unavailable, "the pod network is not ready: no address range is set for this node yet")
	}
	addr, err := n.ipam.Allocate()
	if err != nil {
		return addr, fault.As(fault.Exhausted, fmt.Errorf("%s: %w", n.ipam.Prefix(), err))
	}
	if err := n.saveLocked(); err != nil {
		n.log.Warn("cannot record the pod range", "error", err)
	}
	return addr, nil
}

func (n *network) release(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ipam != nil && addr.IsValid() {
		n.ipam.Release(addr)
	}
}

// attach connects s, whose namespaces exist, to the host.
func (n *network) attach(s *Sandbox) error {
	return podnet.Attach(s.ID, nspace.Path(s.NamespaceDir(), nspace.Net), s.IP(), 0)
}
