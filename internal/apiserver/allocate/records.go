package allocate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// ManagedBy is the label's value of IPAddresses of Services.
const ManagedBy = "ipallocator.k8s.io"

// Record is the IPAddress of a Service's address.
func Record(svc *corev1.Service, addr netip.Addr) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "IPAddress"},
		ObjectMeta: metav1.ObjectMeta{Name: addr.String(), Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(familyOf(addr.String())), networkingv1.LabelManagedBy: ManagedBy,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Resource: "services", Namespace: svc.Namespace, Name: svc.Name,
		}},
	}
}

func recordsOf(a *networkingv1.IPAddress, svc *corev1.Service) bool {
	r := a.Spec.ParentRef
	return r != nil && r.Group == "" && r.Resource == "services" && r.Namespace == svc.Namespace && r.Name == svc.Name
}

// record writes the IPAddress of an address that the Service took.
func (s *Services) record(ctx context.Context, svc *corev1.Service, addr netip.Addr) error {
	if s.stored.Addresses == nil {
		return nil
	}
	a := Record(svc, addr)
	a.UID, a.CreationTimestamp = s.newUID(), metav1.NewTime(s.now().UTC().Truncate(1e9))
	a.Generation = 1
	_, err := s.stored.Addresses.Create(ctx, a)
	if !errors.Is(err, store.ErrConflict) {
		if err != nil {
			err = apierrors.NewInternalError(fmt.Errorf("record the address %s of Service %s/%s: %w", addr, svc.Namespace, svc.Name, err))
		}
		return err
	}
	// One that an interrupted write of this Service left is as good.
	if item, found := s.stored.Addresses.Get("", a.Name); found && recordsOf(item.Object.(*networkingv1.IPAddress), svc) {
		return nil
	}
	return invalid(svc, field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), svc.Spec.ClusterIPs,
		fmt.Sprintf("failed to allocate IP %s: %v", addr, errAddressTaken))})
}

// forget deletes the IPAddress of a Service's address and frees it. An
// IPAddress that cannot be deleted keeps its address until the repair
// controller takes it away.
func (s *Services) forget(ctx context.Context, svc *corev1.Service, addr netip.Addr) {
	gone := s.stored.Addresses == nil || s.erase(ctx, svc, addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone {
		s.ips.release(addr, byRecord)
	} else {
		s.ips.hold(addr, byRecord)
	}
	s.ips.release(addr, byService)
}

// erase tells whether the address has no IPAddress any more.
func (s *Services) erase(ctx context.Context, svc *corev1.Service, addr netip.Addr) bool {
	for {
		item, found := s.stored.Addresses.Get("", addr.String())
		if !found {
			return true
		}
		if !recordsOf(item.Object.(*networkingv1.IPAddress), svc) {
			return false
		}
		if _, err := s.stored.Addresses.Delete(ctx, item); !errors.Is(err, store.ErrConflict) {
			return err == nil
		}
	}
}

func (s *Services) adoptRecord(obj api.Object) {
	a, isRecord := obj.(*networkingv1.IPAddress)
	if !isRecord {
		return
	}
	if addr, err := netip.ParseAddr(a.Name); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ips.hold(addr, byRecord)
	}
}

// Records follows IPAddresses that others write: who records an address for
// a purpose of his own keeps Services from it. It is a verb.Hook.
type Records struct{ services *Services }

// Records is the hook of the kind IPAddress.
func (s *Services) Records() Records { return Records{s} }

// BeginCreate is part of verb.Hook.
func (r Records) BeginCreate(_ context.Context, obj api.Object, dryRun bool) (func(bool), error) {
	return func(stored bool) {
		if stored && !dryRun {
			r.services.adoptRecord(obj)
		}
	}, nil
}

// BeginUpdate is part of verb.Hook.
func (r Records) BeginUpdate(context.Context, api.Object, api.Object, bool) (func(bool), error) {
	return func(bool) {}, nil
}

// AfterDelete is part of verb.Hook.
func (r Records) AfterDelete(obj api.Object) {
	if addr, err := netip.ParseAddr(obj.GetName()); err == nil {
		r.services.mu.Lock()
		defer r.services.mu.Unlock()
		r.services.ips.release(addr, byRecord)
	}
}
