package servicecidr

import (
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Finalizer keeps a range while addresses need it.
	Finalizer = "networking.k8s.io/service-cidr-finalizer"
	// managedBy is the label's value of addresses that Services have.
	managedBy = "ipallocator.k8s.io"
	// grace is how long allocators have to learn that a range goes, before it
	// may be gone.
	grace = 10 * time.Second
)

const (
	readyMessage   = "Kubernetes Service CIDR is ready"
	blockedMessage = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
)

// outcome is what a range should become.
type outcome struct {
	next *networkingv1.ServiceCIDR // nil: as it stands
	// again is when to look once more; zero: at the next change.
	again time.Duration
}

// plan decides about one range. needed is asked of ranges that are being
// deleted only.
func plan(r *networkingv1.ServiceCIDR, now time.Time, needed func() bool) outcome {
	next := r.DeepCopy()
	var out outcome
	switch {
	case r.DeletionTimestamp == nil:
		if !slices.Contains(r.Finalizers, Finalizer) {
			next.Finalizers = append(next.Finalizers, Finalizer)
		}
		if !meta.IsStatusConditionTrue(r.Status.Conditions, networkingv1.ServiceCIDRConditionReady) {
			setReady(next, metav1.ConditionTrue, "", readyMessage, now)
		}
	case !slices.Contains(r.Finalizers, Finalizer):
	case needed():
		setReady(next, metav1.ConditionFalse, networkingv1.ServiceCIDRReasonTerminating, blockedMessage, now)
	default:
		if left := grace - now.Sub(r.DeletionTimestamp.Time); left > 0 {
			return outcome{again: left}
		}
		next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == Finalizer })
	}
	if !equality.Semantic.DeepEqual(r, next) {
		out.next = next
	}
	return out
}

func setReady(r *networkingv1.ServiceCIDR, status metav1.ConditionStatus, reason, message string, now time.Time) {
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now),
	})
}

// prefixes are the networks of a range.
func prefixes(r *networkingv1.ServiceCIDR) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range r.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

func contains(r *networkingv1.ServiceCIDR, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes(r), func(p netip.Prefix) bool { return p.Contains(addr) })
}

// covers tells whether an address' network lies whole in a network of r.
func covers(r *networkingv1.ServiceCIDR, network netip.Prefix) bool {
	return slices.ContainsFunc(prefixes(r), func(p netip.Prefix) bool { return p.Bits() <= network.Bits() && p.Contains(network.Addr()) })
}

// touches tells whether two ranges share addresses.
func touches(a, b *networkingv1.ServiceCIDR) bool {
	for _, p := range prefixes(a) {
		if slices.ContainsFunc(prefixes(b), p.Overlaps) {
			return true
		}
	}
	return false
}

// letGo tells of a range that is deleted whether nothing keeps it here.
func letGo(r *networkingv1.ServiceCIDR) bool {
	return r.DeletionTimestamp != nil && !slices.Contains(r.Finalizers, Finalizer)
}

// needed tells whether an address in use would be in no range without r.
func needed(r *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, inUse []*networkingv1.IPAddress) bool {
	others := slices.DeleteFunc(slices.Clone(all), func(o *networkingv1.ServiceCIDR) bool { return o.Name == r.Name || letGo(o) })
	covered := true
	for _, p := range prefixes(r) {
		covered = covered && slices.ContainsFunc(others, func(o *networkingv1.ServiceCIDR) bool { return covers(o, p) })
	}
	if covered {
		return false
	}
	return slices.ContainsFunc(inUse, func(a *networkingv1.IPAddress) bool {
		addr, err := netip.ParseAddr(a.Name)
		return err == nil && ofService(a) && contains(r, addr) &&
			!slices.ContainsFunc(others, func(o *networkingv1.ServiceCIDR) bool { return contains(o, addr) })
	})
}

func ofService(a *networkingv1.IPAddress) bool {
	return a.Labels[networkingv1.LabelManagedBy] == managedBy
}
