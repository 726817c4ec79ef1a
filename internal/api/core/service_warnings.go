package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func warnService(s, _ *corev1.Service, _ bool) []string {
	spec, at := &s.Spec, field.NewPath("spec")
	headless := spec.Type == corev1.ServiceTypeClusterIP && spec.ClusterIP == corev1.ClusterIPNone
	var out []string
	warn := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	_, hints := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	warn(hints, "annotation %s is deprecated, please use %s instead", corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode)
	if spec.ClusterIP != "" && spec.ClusterIP != corev1.ClusterIPNone {
		out = append(out, warnIPs(spec.ClusterIPs, at.Child("clusterIPs"))...)
	}
	warn(headless && spec.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	warn(headless && len(spec.ExternalIPs) > 0, "spec.externalIPs is ignored for headless services")
	warn(headless && spec.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	out = append(out, warnIPs(spec.ExternalIPs, at.Child("externalIPs"))...)
	named := spec.Type == corev1.ServiceTypeExternalName
	warn(len(spec.ExternalIPs) > 0 && !headless && !named, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	out = append(out, validate.WarnIP(spec.LoadBalancerIP, at.Child("loadBalancerIP"))...)
	for i, cidr := range spec.LoadBalancerSourceRanges {
		out = append(out, validate.WarnCIDR(cidr, at.Child("loadBalancerSourceRanges").Index(i))...)
	}
	warn(named && len(spec.ExternalIPs) > 0, "spec.externalIPs is ignored when spec.type is %q", corev1.ServiceTypeExternalName)
	warn(!named && spec.ExternalName != "", "spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName)
	d := spec.TrafficDistribution
	warn(d != nil && *d == corev1.ServiceTrafficDistributionPreferClose, "spec.trafficDistribution: %q is deprecated; use %q",
		corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone)
	return out
}

func warnIPs(list []string, at *field.Path) []string {
	var out []string
	for i, ip := range list {
		out = append(out, validate.WarnIP(ip, at.Index(i))...)
	}
	return out
}

// warnServiceStatus warns of addresses of load balancers in unusual forms.
func warnServiceStatus(s, _ *corev1.Service, _ bool) []string {
	var out []string
	for i, in := range s.Status.LoadBalancer.Ingress {
		out = append(out, validate.WarnIP(in.IP, field.NewPath("status", "loadBalancer", "ingress").Index(i))...)
	}
	return out
}
