package core

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// clusterIPs checks addresses and families of a service by themselves; what
// the cluster offers is the allocator's business.
func clusterIPs(s, old *corev1.Service, path *field.Path) field.ErrorList {
	spec := &s.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	var errs field.ErrorList
	if p := spec.IPFamilyPolicy; p != nil {
		errs = append(errs, validate.OneOf(*p, path.Child("ipFamilyPolicy"), corev1.IPFamilyPolicySingleStack,
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)...)
	}
	ips, families := path.Child("clusterIPs"), path.Child("ipFamilies")
	switch {
	case len(spec.ClusterIPs) > 0 && spec.ClusterIP == "":
		errs = append(errs, field.Required(path.Child("clusterIP"), "must be set when `clusterIPs` is specified"))
	case len(spec.ClusterIPs) == 0 && spec.ClusterIP != "":
		errs = append(errs, field.Required(ips, "must be set when `clusterIP` is specified"))
	case len(spec.ClusterIPs) > 0 && spec.ClusterIPs[0] != spec.ClusterIP:
		errs = append(errs, field.Invalid(ips, spec.ClusterIPs, "first value must match `clusterIP`"))
	}
	errs = append(errs, ipFamilies(spec.IPFamilies, families)...)
	return append(errs, addresses(s, old, ips)...)
}

func ipFamilies(list []corev1.IPFamily, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > 2 {
		errs = append(errs, field.Invalid(path, list, "may only hold up to 2 values"))
	}
	seen := sets.New[corev1.IPFamily]()
	for i, f := range list {
		errs = append(errs, validate.OneOf(f, path.Index(i), corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if seen.Has(f) {
			errs = append(errs, field.Duplicate(path.Index(i), f))
		}
		seen.Insert(f)
	}
	return errs
}

func addresses(s, old *corev1.Service, path *field.Path) field.ErrorList {
	spec := &s.Spec
	var before []string
	if old != nil {
		before = old.Spec.ClusterIPs
	}
	var errs field.ErrorList
	if len(spec.ClusterIPs) > 2 {
		errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may only hold up to 2 values"))
	}
	for i, ip := range spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			if i > 0 || len(spec.ClusterIPs) > 1 {
				errs = append(errs, field.Invalid(path.Index(i), ip, "'None' must be the first and only value"))
			}
			continue
		}
		if why := validate.IP(ip, path.Index(i), before...); len(why) > 0 {
			errs = append(errs, why...)
			continue
		}
		if i < len(spec.IPFamilies) && netutils.IsIPv6String(ip) != (spec.IPFamilies[i] == corev1.IPv6Protocol) {
			errs = append(errs, field.Invalid(path.Index(i), ip,
				fmt.Sprintf("expected an %v value as indicated by `ipFamilies[%v]`", spec.IPFamilies[i], i)))
		}
	}
	if len(spec.ClusterIPs) == 2 && len(errs) == 0 {
		if dual, _ := netutils.IsDualStackIPStrings(spec.ClusterIPs); !dual {
			errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
	}
	return errs
}

func validateServiceUpdate(s, old *corev1.Service) field.ErrorList {
	path := field.NewPath("spec")
	errs := addressesKept(s, old, path)
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		!same(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(path.Child("loadBalancerClass"), s.Spec.LoadBalancerClass, "may not change once set"))
	}
	return append(errs, checkService(s, old)...)
}

// addressesKept wants the first address and family of a service to stay while
// it has one; a second one may come and go with the family policy.
func addressesKept(s, old *corev1.Service, path *field.Path) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName || old.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	const why = "may not change once set"
	var errs field.ErrorList
	ips, families := path.Child("clusterIPs"), path.Child("ipFamilies")
	if was, is := old.Spec.ClusterIPs, s.Spec.ClusterIPs; len(was) > 0 {
		if len(is) == 0 || is[0] != was[0] {
			errs = append(errs, field.Invalid(ips.Index(0), is, why))
		}
		if len(was) == 2 && len(is) == 2 && is[1] != was[1] {
			errs = append(errs, field.Invalid(ips.Index(1), is, why))
		}
	}
	if was, is := old.Spec.IPFamilies, s.Spec.IPFamilies; len(was) > 0 && len(is) > 0 && !slices.Equal(was[:1], is[:1]) {
		errs = append(errs, field.Invalid(families.Index(0), is, why))
	}
	return errs
}

func validateServiceStatus(s, old *corev1.Service) field.ErrorList {
	path := field.NewPath("status", "loadBalancer", "ingress")
	var before []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		before = append(before, in.IP)
	}
	var errs field.ErrorList
	if len(s.Status.LoadBalancer.Ingress) > 0 && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
	}
	for i, in := range s.Status.LoadBalancer.Ingress {
		at := path.Index(i)
		if in.IP != "" {
			errs = append(errs, validate.IP(in.IP, at.Child("ip"), before...)...)
		}
		if in.IPMode != nil {
			errs = append(errs, forbidden(in.IP == "", at.Child("ipMode"), "may not be specified when `ip` is not set")...)
			errs = append(errs, validate.OneOf(*in.IPMode, at.Child("ipMode"), corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
		}
		if in.Hostname != "" {
			errs = append(errs, validate.DNS1123Subdomain(in.Hostname, at.Child("hostname"))...)
			if len(validate.IP(in.Hostname, at)) == 0 {
				errs = append(errs, field.Invalid(at.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address"))
			}
		}
	}
	return errs
}

func warnService(s, old *corev1.Service, isUpdate bool) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	headless := s.Spec.ClusterIP == corev1.ClusterIPNone
	if headless && s.Spec.LoadBalancerIP != "" {
		add("spec.loadBalancerIP is ignored for headless services")
	}
	if headless && len(s.Spec.ExternalIPs) > 0 {
		add("spec.externalIPs is ignored when spec.clusterIP is \"None\"")
	}
	if headless && s.Spec.SessionAffinity != corev1.ServiceAffinityNone {
		add("spec.SessionAffinity is ignored for headless services")
	}
	if s.Spec.ExternalName != "" && s.Spec.Type != corev1.ServiceTypeExternalName {
		add("spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName)
	}
	if len(s.Spec.ExternalIPs) > 0 {
		add("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	}
	if d := s.Spec.TrafficDistribution; d != nil && *d == corev1.ServiceTrafficDistributionPreferClose {
		add("spec.trafficDistribution: %q is deprecated; use %q",
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone)
	}
	return out
}
