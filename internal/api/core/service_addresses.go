package core

import (
	"fmt"

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
	ips := path.Child("clusterIPs")
	switch {
	case spec.ClusterIP == "" && len(spec.ClusterIPs) > 0:
		errs = append(errs, field.Invalid(ips, spec.ClusterIPs, "must be empty when `clusterIP` is not specified"))
	case spec.ClusterIP != "" && len(spec.ClusterIPs) == 0:
		errs = append(errs, field.Required(ips, ""))
	case spec.ClusterIP != "" && spec.ClusterIPs[0] != spec.ClusterIP:
		errs = append(errs, field.Invalid(ips, spec.ClusterIPs, "first value must match `clusterIP`"))
	}
	errs = append(errs, ipFamilies(spec.IPFamilies, path.Child("ipFamilies"))...)
	if p := spec.IPFamilyPolicy; p != nil {
		errs = append(errs, validate.OneOf(*p, path.Child("ipFamilyPolicy"), corev1.IPFamilyPolicySingleStack,
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)...)
	}
	return append(errs, addresses(s, old, ips)...)
}

func ipFamilies(list []corev1.IPFamily, path *field.Path) field.ErrorList {
	var errs field.ErrorList
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
	for i, ip := range spec.ClusterIPs {
		if i > 0 || ip != corev1.ClusterIPNone {
			errs = append(errs, validate.IP(ip, path.Index(i), before...)...)
		} else if len(spec.ClusterIPs) > 1 {
			errs = append(errs, field.Invalid(path, spec.ClusterIPs, "'None' must be the first and only value"))
		}
	}
	wrong := len(errs) > 0
	if len(spec.ClusterIPs) > 2 {
		errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may only hold up to 2 values"))
	}
	if wrong || isHeadless(spec) { // of no family
		return errs
	}
	if len(spec.ClusterIPs) > 1 {
		if dual, _ := netutils.IsDualStackIPStrings(spec.ClusterIPs); !dual {
			errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
	}
	return append(errs, ofFamilies(spec, path)...)
}

// ofFamilies holds addresses against the families in their order.
func ofFamilies(s *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, family := range s.IPFamilies[:min(len(s.IPFamilies), len(s.ClusterIPs))] {
		ip := s.ClusterIPs[i]
		is := corev1.IPv4Protocol
		if netutils.IsIPv6String(ip) {
			is = corev1.IPv6Protocol
		}
		if family != is && (family == corev1.IPv4Protocol || family == corev1.IPv6Protocol) {
			errs = append(errs, field.Invalid(path.Index(i), ip, fmt.Sprintf("expected an %v value as indicated by `ipFamilies[%v]`", family, i)))
		}
	}
	return errs
}

const setOnce = "may not change once set"

func validateServiceUpdate(s, old *corev1.Service) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if mayHaveClusterIP(s.Spec.Type) && mayHaveClusterIP(old.Spec.Type) {
		errs = addressesKept(&s.Spec, &old.Spec, path)
		errs = append(errs, familiesKept(&s.Spec, &old.Spec, path)...)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		!same(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(path.Child("loadBalancerClass"), s.Spec.LoadBalancerClass, setOnce))
	}
	errs = append(errs, loadBalancerClass(&s.Spec, path)...)
	errs = append(errs, forbidden(hasHealthCheck(&s.Spec) && hasHealthCheck(&old.Spec) && s.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort,
		path.Child("healthCheckNodePort"), "field is immutable")...)
	return append(errs, checkService(s, old)...)
}

// addressesKept wants the first address to stay while the service has one; a
// second one may come and go with the family policy.
func addressesKept(s, old *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	if isHeadless(s) && isHeadless(old) {
		return nil
	}
	at, was, is := path.Child("clusterIPs"), old.ClusterIPs, s.ClusterIPs
	var errs field.ErrorList
	if len(was) == len(is) {
		for i := range was {
			if was[i] != is[i] {
				errs = append(errs, field.Invalid(at.Index(i), is, setOnce))
			}
		}
		return errs
	}
	if len(is) == 0 {
		errs = append(errs, field.Invalid(at.Index(0), is, "primary clusterIP can not be unset"))
	}
	if len(was) > 0 && len(is) > 0 && was[0] != is[0] {
		errs = append(errs, field.Invalid(at.Index(0), is, setOnce))
	}
	if len(was) > len(is) && len(is) == 1 {
		errs = append(errs, singleStack(s, "clusterIP", path)...)
	}
	return errs
}

// familiesKept is addressesKept for the families. Some of its errors show the
// addresses, as upstream's do.
func familiesKept(s, old *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	if isHeadless(s) || isHeadless(old) {
		return nil
	}
	at, was, is := path.Child("ipFamilies").Index(0), old.IPFamilies, s.IPFamilies
	var errs field.ErrorList
	if len(was) == len(is) {
		for i := range was {
			if was[i] != is[i] {
				errs = append(errs, field.Invalid(at, is, setOnce))
			}
		}
		return errs
	}
	if len(was) > len(is) && len(s.ClusterIPs) == 0 {
		errs = append(errs, field.Invalid(at, is, "primary ipFamily can not be unset"))
	}
	if len(was) > 0 && len(is) > 0 && was[0] != is[0] {
		errs = append(errs, field.Invalid(at, s.ClusterIPs, setOnce))
	}
	if len(was) > len(is) && len(is) == 1 {
		errs = append(errs, singleStack(s, "ipFamily", path)...)
	}
	return errs
}

func singleStack(s *corev1.ServiceSpec, what string, path *field.Path) field.ErrorList {
	if p := s.IPFamilyPolicy; p != nil && *p == corev1.IPFamilyPolicySingleStack {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("ipFamilyPolicy"), s.IPFamilyPolicy,
		"must be set to 'SingleStack' when releasing the secondary "+what)}
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
		errs = append(errs, ipMode(&in, at.Child("ipMode"))...)
		if in.Hostname != "" {
			errs = append(errs, validate.DNS1123Subdomain(in.Hostname, at.Child("hostname"))...)
			if netutils.ParseIPSloppy(in.Hostname) != nil {
				errs = append(errs, field.Invalid(at.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address"))
			}
		}
	}
	return errs
}

func ipMode(in *corev1.LoadBalancerIngress, at *field.Path) field.ErrorList {
	switch {
	case in.IPMode == nil && in.IP != "":
		return field.ErrorList{field.Required(at, "must be specified when `ip` is set")}
	case in.IPMode == nil:
		return nil
	case in.IP == "":
		return field.ErrorList{field.Forbidden(at, "may not be specified when `ip` is not set")}
	}
	return validate.OneOf(*in.IPMode, at, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)
}
