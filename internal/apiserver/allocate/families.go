package allocate

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// setFamilies settles a Service's address families on a cluster that has one
// family, and copies clusterIP to clusterIPs where only the former is given.
func setFamilies(svc, old *corev1.Service, have corev1.IPFamily) field.ErrorList {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		if old != nil {
			svc.Spec.IPFamilies, svc.Spec.IPFamilyPolicy = nil, nil
			svc.Spec.ClusterIP, svc.Spec.ClusterIPs = "", nil
		}
		return nil
	}
	if len(svc.Spec.ClusterIPs) == 0 && svc.Spec.ClusterIP != "" {
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	}
	if old == nil || old.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.IPFamilies) == 0 {
		if errs := checkFamilies(svc, have); len(errs) > 0 {
			return errs
		}
	}
	free := headless(svc) && len(svc.Spec.Selector) == 0
	if svc.Spec.IPFamilyPolicy == nil {
		policy := corev1.IPFamilyPolicySingleStack
		if free || len(svc.Spec.IPFamilies) == 2 {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		svc.Spec.IPFamilyPolicy = &policy
	}
	if len(svc.Spec.IPFamilies) == 0 {
		svc.Spec.IPFamilies = []corev1.IPFamily{have}
	}
	if free && *svc.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack && len(svc.Spec.IPFamilies) == 1 {
		svc.Spec.IPFamilies = append(svc.Spec.IPFamilies, other(svc.Spec.IPFamilies[0]))
	}
	return nil
}

// checkFamilies refuses what a cluster of one family cannot give.
func checkFamilies(svc *corev1.Service, have corev1.IPFamily) field.ErrorList {
	if headless(svc) && len(svc.Spec.Selector) == 0 {
		return nil
	}
	var errs field.ErrorList
	if p := svc.Spec.IPFamilyPolicy; p != nil && *p == corev1.IPFamilyPolicyRequireDualStack {
		errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), *p, "this cluster is not configured for dual-stack services"))
	}
	for i, f := range svc.Spec.IPFamilies {
		if f != have {
			errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilies").Index(i), f, "not configured on this cluster"))
		}
	}
	for i := len(svc.Spec.IPFamilies); i < len(svc.Spec.ClusterIPs); i++ {
		if f := familyOf(svc.Spec.ClusterIPs[i]); f != "" && f != have {
			errs = append(errs, field.Invalid(field.NewPath("spec", "clusterIPs").Index(i), svc.Spec.ClusterIPs,
				fmt.Sprintf("%s is not configured on this cluster", f)))
		}
	}
	return errs
}

func headless(svc *corev1.Service) bool {
	return len(svc.Spec.ClusterIPs) > 0 && svc.Spec.ClusterIPs[0] == corev1.ClusterIPNone || svc.Spec.ClusterIP == corev1.ClusterIPNone
}

// familyOf is an address' family; empty for what is no address.
func familyOf(text string) corev1.IPFamily {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return ""
	case addr.Is4():
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func other(f corev1.IPFamily) corev1.IPFamily {
	if f == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
