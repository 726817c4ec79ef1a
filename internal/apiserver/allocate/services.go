// Package allocate hands out what must be unique among Services: cluster
// addresses, node ports and health check ports.
//
// A Services is the only owner of what is taken. It reads the stored Services
// and IPAddresses once when it is made and follows the writes that go through
// it afterwards; what it gave to a write that failed it takes back. For every
// address of a Service it writes an IPAddress beside the Service (KEP-1880):
// before it, so that whoever sees the Service finds its address recorded. A
// process that dies between the two leaves an IPAddress of nobody, which the
// repair controller takes away.
//
// Addresses come from the network of the configuration and from every
// ServiceCIDR that is ready.
package allocate

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
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

// Stored are the objects that allocation reads and writes. Addresses and
// Ranges may be nil: then no IPAddress is written, and the configured network
// is all there is.
type Stored struct {
	Services, Addresses, Ranges *cache.Resource
}

// StoredIn finds them in the cache.
func StoredIn(objects *cache.Cache, kinds *catalog.Catalog) Stored {
	return Stored{
		Services:  objects.Of(kinds.TypeOf(&corev1.Service{})),
		Addresses: objects.Of(kinds.TypeOf(&networkingv1.IPAddress{})),
		Ranges:    objects.Of(kinds.TypeOf(&networkingv1.ServiceCIDR{})),
	}
}

// Services allocates for Services. It is a verb.Hook. Safe for concurrent use.
type Services struct {
	config Config
	stored Stored
	now    func() time.Time
	newUID func() types.UID

	mu    sync.Mutex
	ips   *addresses // guarded by mu
	ports *pool      // guarded by mu: offsets from FirstPort
}

// New takes over what the stored objects hold.
func New(config Config, stored Stored) (*Services, error) {
	if !config.Network.IsValid() || config.FirstPort <= 0 || config.LastPort < config.FirstPort {
		return nil, fmt.Errorf("service network %s with node ports %d-%d is no range", config.Network, config.FirstPort, config.LastPort)
	}
	config.Network = config.Network.Masked()
	ports := int(config.LastPort-config.FirstPort) + 1
	s := &Services{
		config: config, stored: stored, now: time.Now, newUID: func() types.UID { return types.UID(uuid.NewString()) },
		ips:   newAddresses(),
		ports: newPool(ports, staticBand(ports, 32, 16, 128)),
	}
	stored.Services.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		if svc, isService := item.Object.(*corev1.Service); isService {
			s.adopt(svc)
		}
		return true
	})
	if stored.Addresses != nil {
		stored.Addresses.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
			s.adoptRecord(item.Object)
			return true
		})
	}
	return s, nil
}

// adopt marks what a stored Service holds.
func (s *Services) adopt(svc *corev1.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range addressesOf(svc) {
		s.ips.hold(addr, byService)
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

func (s *Services) portOffset(port int32) (int, bool) {
	if port < s.config.FirstPort || port > s.config.LastPort {
		return 0, false
	}
	return int(port - s.config.FirstPort), true
}

// BeginCreate is part of verb.Hook.
func (s *Services) BeginCreate(ctx context.Context, obj api.Object, dryRun bool) (func(bool), error) {
	return s.begin(ctx, &transaction{services: s, svc: obj.(*corev1.Service), dryRun: dryRun})
}

// BeginUpdate is part of verb.Hook.
func (s *Services) BeginUpdate(ctx context.Context, obj, old api.Object, dryRun bool) (func(bool), error) {
	return s.begin(ctx, &transaction{services: s, svc: obj.(*corev1.Service), old: old.(*corev1.Service), dryRun: dryRun})
}

// AfterDelete is part of verb.Hook.
func (s *Services) AfterDelete(obj api.Object) {
	svc, isService := obj.(*corev1.Service)
	if !isService {
		return
	}
	for _, addr := range addressesOf(svc) {
		s.forget(context.Background(), svc, addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, port := range portsOf(svc) {
		if n, ok := s.portOffset(port); ok {
			s.ports.release(n)
		}
	}
}

func (s *Services) begin(ctx context.Context, t *transaction) (func(bool), error) {
	svc := t.svc
	if errs := setFamilies(svc, t.old, s.family()); len(errs) > 0 {
		return nil, invalid(svc, errs)
	}
	if errs := t.take(); len(errs) > 0 {
		return nil, invalid(svc, errs)
	}
	finish := func(stored bool) { t.finish(context.WithoutCancel(ctx), stored) }
	if t.dryRun {
		return finish, nil
	}
	for _, addr := range t.tookIPs {
		if err := s.record(ctx, svc, addr); err != nil {
			finish(false)
			return nil, err
		}
	}
	return finish, nil
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
