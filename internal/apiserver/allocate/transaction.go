package allocate

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// transaction is what one write takes and gives back. What it takes is marked
// at once; what it gives back is freed only when the write was stored.
type transaction struct {
	services             *Services
	svc, old             *corev1.Service
	dryRun               bool
	shownPort            int32 // the last port that a dry run showed
	tookIPs, freeIPs     []netip.Addr
	tookPorts, freePorts []int
}

// take marks what the write needs; where that is refused, nothing is marked.
func (t *transaction) take() field.ErrorList {
	s := t.services
	ranges := s.ranges()
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := t.addressesLocked(ranges)
	if len(errs) == 0 {
		errs = t.portsLocked()
	}
	if len(errs) > 0 {
		for _, addr := range t.tookIPs {
			s.ips.release(addr, byService)
		}
		t.undoPortsLocked()
	}
	return errs
}

// finish settles the transaction.
func (t *transaction) finish(ctx context.Context, stored bool) {
	s := t.services
	gone, of := t.tookIPs, t.svc
	if stored {
		gone, of = t.freeIPs, t.old
	}
	for _, addr := range gone {
		if t.dryRun {
			s.ips.releaseWith(&s.mu, addr)
		} else {
			s.forget(ctx, of, addr)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !stored {
		t.undoPortsLocked()
		return
	}
	for _, n := range t.freePorts {
		s.ports.release(n)
	}
}

func (t *transaction) undoPortsLocked() {
	for _, n := range t.tookPorts {
		t.services.ports.release(n)
	}
	t.tookPorts = nil
}

func (t *transaction) addressesLocked(ranges []netip.Prefix) field.ErrorList {
	spec := &t.svc.Spec
	had := map[netip.Addr]bool{}
	if t.old != nil {
		for _, addr := range addressesOf(t.old) {
			had[addr] = true
		}
	}
	if spec.Type == corev1.ServiceTypeExternalName {
		t.freeIPs = slices.Collect(maps.Keys(had))
		return nil
	}
	if headless(t.svc) {
		return nil
	}
	if spec.ClusterIP == "" {
		addr, err := t.services.ips.next(ranges)
		if err != nil {
			return field.ErrorList{field.InternalError(field.NewPath("spec", "clusterIPs"), fmt.Errorf("failed to allocate a serviceIP: %w", err))}
		}
		t.tookIPs = append(t.tookIPs, addr)
		spec.ClusterIP = addr.String()
		spec.ClusterIPs = []string{spec.ClusterIP}
		return nil
	}
	for _, text := range spec.ClusterIPs {
		addr, err := netip.ParseAddr(text)
		if err == nil && had[addr] {
			continue
		}
		if err := t.takeAddressLocked(text, addr, ranges); err != nil {
			return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), spec.ClusterIPs, err.Error())}
		}
	}
	return nil
}

func (t *transaction) takeAddressLocked(text string, addr netip.Addr, ranges []netip.Prefix) error {
	switch {
	case !usable(addr, ranges):
		return fmt.Errorf("failed to allocate IP %s: the provided network does not match the current range", text)
	case !t.services.ips.take(addr):
		return fmt.Errorf("failed to allocate IP %s: %w", text, errAddressTaken)
	}
	t.tookIPs = append(t.tookIPs, addr)
	return nil
}

// wantsPorts tells whether a Service gets node ports.
func wantsPorts(svc *corev1.Service) bool {
	switch svc.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return svc.Spec.AllocateLoadBalancerNodePorts == nil || *svc.Spec.AllocateLoadBalancerNodePorts
	}
	return false
}

// mayHavePorts tells whether a Service may hold node ports that it asks for.
func mayHavePorts(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer
}

func wantsHealthPort(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func (t *transaction) portsLocked() field.ErrorList {
	held := map[int32]bool{} // by the old state, or taken by this write
	if t.old != nil {
		for _, port := range portsOf(t.old) {
			held[port] = true
		}
	}
	if mayHavePorts(t.svc) {
		if errs := t.nodePorts(held); len(errs) > 0 {
			return errs
		}
	}
	if wantsHealthPort(t.svc) {
		if err := t.healthPort(held); err != nil {
			return field.ErrorList{field.InternalError(field.NewPath("spec", "healthCheckNodePort"), err)}
		}
	}
	t.freeUnusedPorts()
	return nil
}

// nodePorts takes the ports that are asked for, then hands out the others; one
// port served over two protocols gets one node port.
func (t *transaction) nodePorts(held map[int32]bool) field.ErrorList {
	at := field.NewPath("spec", "ports")
	ports := t.svc.Spec.Ports
	byPort := map[int32]int32{}
	for i := range ports {
		p := &ports[i]
		if p.NodePort == 0 {
			continue
		}
		if !held[p.NodePort] {
			if err := t.takePort(p.NodePort); err != nil {
				return field.ErrorList{field.Invalid(at.Index(i).Child("nodePort"), p.NodePort, err.Error())}
			}
			held[p.NodePort] = true
		}
		byPort[p.Port] = p.NodePort
	}
	if !wantsPorts(t.svc) {
		return nil
	}
	for i := range ports {
		p := &ports[i]
		if p.NodePort != 0 {
			continue
		}
		if shared, ok := byPort[p.Port]; ok {
			p.NodePort = shared
			continue
		}
		port, err := t.anyPort()
		if err != nil {
			return field.ErrorList{field.InternalError(at.Index(i).Child("nodePort"), fmt.Errorf("failed to allocate a nodePort: %w", err))}
		}
		p.NodePort, byPort[p.Port] = port, port
	}
	return nil
}

func (t *transaction) healthPort(held map[int32]bool) error {
	port := t.svc.Spec.HealthCheckNodePort
	if port == 0 {
		given, err := t.anyPort()
		t.svc.Spec.HealthCheckNodePort = given
		return err
	}
	if held[port] {
		return nil
	}
	if err := t.takePort(port); err != nil {
		return fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", port, err)
	}
	return nil
}

func (t *transaction) takePort(port int32) error {
	s := t.services
	n, inside := s.portOffset(port)
	switch {
	case !inside:
		return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %d-%d", s.config.FirstPort, s.config.LastPort)
	case !s.ports.take(n):
		return errTaken
	}
	t.tookPorts = append(t.tookPorts, n)
	return nil
}

// firstShownPort is what a dry run shows in place of the first node port that
// it would get. Like upstream's it lies behind the default range.
const firstShownPort = 32769

// anyPort takes a free port. A dry run takes none and shows numbers that stand
// for one.
func (t *transaction) anyPort() (int32, error) {
	if t.dryRun {
		t.shownPort = max(t.shownPort+1, firstShownPort)
		return t.shownPort, nil
	}
	n, err := t.services.ports.next()
	if err != nil {
		return 0, err
	}
	t.tookPorts = append(t.tookPorts, n)
	return t.services.config.FirstPort + int32(n), nil
}

// freeUnusedPorts gives back the old state's ports that the new one has not.
func (t *transaction) freeUnusedPorts() {
	if t.old == nil {
		return
	}
	kept := map[int32]bool{}
	for _, port := range portsOf(t.svc) {
		kept[port] = true
	}
	for _, port := range portsOf(t.old) {
		if n, ok := t.services.portOffset(port); ok && !kept[port] {
			t.freePorts = append(t.freePorts, n)
		}
	}
}
