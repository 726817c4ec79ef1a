package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

func prepareService(s *corev1.Service) {
	s.Status = corev1.ServiceStatus{}
	KeepAllocated(s, nil)
}

// prepareServiceUpdate keeps what the server allocated where the client left
// it out, and drops what a changed type no longer has.
func prepareServiceUpdate(s, old *corev1.Service) {
	s.Status = old.Status
	KeepAllocated(s, old)
	dropForType(&s.Spec, &old.Spec)
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

// KeepAllocated gives a changed service the addresses and ports that the
// server once allocated and the client left out, and keeps clusterIP and the
// first of clusterIPs the same: whichever the client changed wins. old is nil
// for a new service. Nothing that it sets is shared with old.
func KeepAllocated(s, old *corev1.Service) {
	spec := &s.Spec
	if old == nil {
		if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = []string{spec.ClusterIP}
		}
		return
	}
	was := &old.Spec
	keepAllocated(spec, was)
	if hasClusterIP(was.Type) && !hasClusterIP(spec.Type) && same(spec.InternalTrafficPolicy, was.InternalTrafficPolicy) {
		spec.InternalTrafficPolicy = nil
	}
	switch {
	case was.ClusterIP != "" && spec.ClusterIP == "" && slices.Equal(spec.ClusterIPs, was.ClusterIPs):
		spec.ClusterIPs = nil
	case spec.ClusterIP != "" && spec.ClusterIP != was.ClusterIP && slices.Equal(spec.ClusterIPs, was.ClusterIPs):
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
}

func keepAllocated(s, old *corev1.ServiceSpec) {
	if mayHaveClusterIP(s.Type) && mayHaveClusterIP(old.Type) {
		orSet(&s.ClusterIP, old.ClusterIP)
		if len(s.ClusterIPs) == 0 {
			s.ClusterIPs = slices.Clone(old.ClusterIPs)
		}
	}
	if hasNodePorts(s.Type) && hasNodePorts(old.Type) {
		keepNodePorts(s.Ports, old.Ports)
	}
	if hasHealthCheck(s) && hasHealthCheck(old) {
		orSet(&s.HealthCheckNodePort, old.HealthCheckNodePort)
	}
}

// keepNodePorts gives ports without a node port that of the port of the same
// name before, unless another one asks for it.
func keepNodePorts(ports, old []corev1.ServicePort) {
	before := make(map[string]int32, len(old))
	for _, p := range old {
		before[p.Name] = p.NodePort
	}
	used := make(map[int32]bool, len(ports))
	for _, p := range ports {
		used[p.NodePort] = true
	}
	for i := range ports {
		p := &ports[i]
		if was := before[p.Name]; p.NodePort == 0 && !used[was] {
			p.NodePort = was
			used[was] = true
		}
	}
}

func hasHealthCheck(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// dropForType removes values that the client carried over from a type that
// had them; values that it changed stay, and are refused by validation.
func dropForType(s, old *corev1.ServiceSpec) {
	if mayHaveClusterIP(old.Type) && !mayHaveClusterIP(s.Type) {
		if s.ClusterIP == old.ClusterIP && slices.Equal(s.ClusterIPs, old.ClusterIPs) {
			s.ClusterIP, s.ClusterIPs = "", nil
		}
		if slices.Equal(s.IPFamilies, old.IPFamilies) {
			s.IPFamilies = nil
		}
		if same(s.IPFamilyPolicy, old.IPFamilyPolicy) {
			s.IPFamilyPolicy = nil
		}
	}
	if hasNodePorts(old.Type) && !hasNodePorts(s.Type) && noNewNodePort(s.Ports, old.Ports) {
		for i := range s.Ports {
			s.Ports[i].NodePort = 0
		}
	}
	if hasHealthCheck(old) && !hasHealthCheck(s) && s.HealthCheckNodePort == old.HealthCheckNodePort {
		s.HealthCheckNodePort = 0
	}
	if old.Type == corev1.ServiceTypeLoadBalancer && s.Type != corev1.ServiceTypeLoadBalancer {
		if same(s.AllocateLoadBalancerNodePorts, old.AllocateLoadBalancerNodePorts) {
			s.AllocateLoadBalancerNodePorts = nil
		}
		if same(s.LoadBalancerClass, old.LoadBalancerClass) {
			s.LoadBalancerClass = nil
		}
	}
	if reachableFromOutside(old) && !reachableFromOutside(s) && s.ExternalTrafficPolicy == old.ExternalTrafficPolicy {
		s.ExternalTrafficPolicy = ""
	}
}

// mayHaveClusterIP is true of unknown types too.
func mayHaveClusterIP(t corev1.ServiceType) bool { return t != corev1.ServiceTypeExternalName }

func noNewNodePort(list, old []corev1.ServicePort) bool {
	before := sets.New[int32](0)
	for _, p := range old {
		before.Insert(p.NodePort)
	}
	return !slices.ContainsFunc(list, func(p corev1.ServicePort) bool { return !before.Has(p.NodePort) })
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
