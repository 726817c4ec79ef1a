// Package allocate hands out what must be unique among Services: cluster
// addresses, node ports and health check ports.
//
// A Services is the only owner of what is taken. It reads the stored Services
// once when it is made and follows the writes that go through it afterwards;
// what it gave to a write that failed it takes back.
package allocate

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config bounds what is handed out.
type Config struct {
	// Network is the range of cluster addresses; its first and last address
	// are not handed out.
	Network netip.Prefix
	// FirstPort and LastPort bound the node ports.
	FirstPort, LastPort int32
}

// Services allocates for Services. It is a verb.Hook. Safe for concurrent use.
type Services struct {
	config Config

	mu    sync.Mutex
	ips   *pool // guarded by mu: offsets in the network
	ports *pool // guarded by mu: offsets from FirstPort
}

// New takes over what the stored Services hold.
func New(config Config, services *cache.Resource) (*Services, error) {
	if !config.Network.IsValid() || config.FirstPort <= 0 || config.LastPort < config.FirstPort {
		return nil, fmt.Errorf("service network %s with node ports %d-%d is no range", config.Network, config.FirstPort, config.LastPort)
	}
	config.Network = config.Network.Masked()
	hosts := hostCount(config.Network)
	ports := int(config.LastPort-config.FirstPort) + 1
	s := &Services{
		config: config,
		ips:    newPool(hosts, staticBand(hosts, 16, 16, 256)),
		ports:  newPool(ports, staticBand(ports, 32, 16, 128)),
	}
	services.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		if svc, isService := item.Object.(*corev1.Service); isService {
			s.adopt(svc)
		}
		return true
	})
	return s, nil
}

// hostCount is how many addresses a network has to hand out, bounded for huge
// ones.
func hostCount(n netip.Prefix) int {
	bits := n.Addr().BitLen() - n.Bits()
	const most = 20 // a million Services
	if bits > most {
		bits = most
	}
	return max(0, 1<<bits-2)
}

// adopt marks what a stored Service holds.
func (s *Services) adopt(svc *corev1.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range svc.Spec.ClusterIPs {
		if n, ok := s.offset(text); ok {
			s.ips.take(n)
		}
	}
	for _, port := range portsOf(svc) {
		if n, ok := s.portOffset(port); ok {
			s.ports.take(n)
		}
	}
}

// portsOf are the node ports that a Service holds, each once.
func portsOf(svc *corev1.Service) []int32 {
	var out []int32
	seen := map[int32]bool{}
	add := func(port int32) {
		if port != 0 && !seen[port] {
			seen[port] = true
			out = append(out, port)
		}
	}
	for i := range svc.Spec.Ports {
		add(svc.Spec.Ports[i].NodePort)
	}
	add(svc.Spec.HealthCheckNodePort)
	return out
}

// offset is an address' place in the network; ok is false outside of it.
func (s *Services) offset(text string) (n int, ok bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !s.config.Network.Contains(addr) {
		return 0, false
	}
	base, at := s.config.Network.Addr().AsSlice(), addr.AsSlice()
	for i := range at {
		n = n<<8 + int(at[i]) - int(base[i])
	}
	return n - 1, n >= 1 && n <= s.ips.size
}

// address is the address at a place of the network.
func (s *Services) address(n int) string {
	raw := s.config.Network.Addr().AsSlice()
	n++
	for i := len(raw) - 1; n > 0 && i >= 0; i-- {
		n += int(raw[i])
		raw[i] = byte(n)
		n >>= 8
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr.String()
}

func (s *Services) portOffset(port int32) (int, bool) {
	if port < s.config.FirstPort || port > s.config.LastPort {
		return 0, false
	}
	return int(port - s.config.FirstPort), true
}

// BeginCreate is part of verb.Hook.
func (s *Services) BeginCreate(_ context.Context, obj api.Object, dryRun bool) (func(bool), error) {
	return s.begin(&transaction{services: s, svc: obj.(*corev1.Service), dryRun: dryRun})
}

// BeginUpdate is part of verb.Hook.
func (s *Services) BeginUpdate(_ context.Context, obj, old api.Object, dryRun bool) (func(bool), error) {
	return s.begin(&transaction{services: s, svc: obj.(*corev1.Service), old: old.(*corev1.Service), dryRun: dryRun})
}

// AfterDelete is part of verb.Hook.
func (s *Services) AfterDelete(obj api.Object) {
	svc, isService := obj.(*corev1.Service)
	if !isService {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range svc.Spec.ClusterIPs {
		if n, ok := s.offset(text); ok {
			s.ips.release(n)
		}
	}
	for _, port := range portsOf(svc) {
		if n, ok := s.portOffset(port); ok {
			s.ports.release(n)
		}
	}
}

func (s *Services) begin(t *transaction) (func(bool), error) {
	svc := t.svc
	if errs := setFamilies(svc, t.old, s.family()); len(errs) > 0 {
		return nil, invalid(svc, errs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := t.addressesLocked()
	if len(errs) == 0 {
		errs = t.portsLocked()
	}
	if len(errs) > 0 {
		t.undoLocked()
		return nil, invalid(svc, errs)
	}
	return t.finish, nil
}

func (s *Services) family() corev1.IPFamily {
	if s.config.Network.Addr().Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func invalid(svc *corev1.Service, errs field.ErrorList) error {
	return errors.NewInvalid(schema.GroupKind{Kind: "Service"}, svc.Name, errs)
}
