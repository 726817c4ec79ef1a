package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

func prepareService(s *corev1.Service) {
	s.Status = corev1.ServiceStatus{}
	normalizeClusterIPs(s, nil)
}

// prepareServiceUpdate keeps what the server allocated where the client left
// it out, and drops what a changed type no longer has.
func prepareServiceUpdate(s, old *corev1.Service) {
	s.Status = old.Status
	keepAllocated(&s.Spec, &old.Spec)
	dropForType(&s.Spec, &old.Spec)
	normalizeClusterIPs(s, old)
}

// normalizeClusterIPs keeps clusterIP and the first of clusterIPs the same;
// whichever the client changed wins.
func normalizeClusterIPs(s, old *corev1.Service) {
	spec := &s.Spec
	if old == nil {
		if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = []string{spec.ClusterIP}
		}
		return
	}
	was := &old.Spec
	switch {
	case was.ClusterIP != "" && spec.ClusterIP == "" && slices.Equal(spec.ClusterIPs, was.ClusterIPs):
		spec.ClusterIPs = nil
	case spec.ClusterIP != was.ClusterIP && slices.Equal(spec.ClusterIPs, was.ClusterIPs):
		spec.ClusterIPs = []string{spec.ClusterIP}
	case spec.ClusterIP != "" && len(spec.ClusterIPs) == 0:
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
}

func keepAllocated(s, old *corev1.ServiceSpec) {
	if hasClusterIP(s.Type) && hasClusterIP(old.Type) {
		if s.ClusterIP == "" {
			s.ClusterIP = old.ClusterIP
		}
		if len(s.ClusterIPs) == 0 && s.ClusterIP == old.ClusterIP {
			s.ClusterIPs = old.ClusterIPs
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
	if hasClusterIP(old.Type) && !hasClusterIP(s.Type) && s.ClusterIP == old.ClusterIP && slices.Equal(s.ClusterIPs, old.ClusterIPs) {
		s.ClusterIP, s.ClusterIPs = "", nil
		s.IPFamilies, s.IPFamilyPolicy = nil, nil
	}
	if hasNodePorts(old.Type) && !hasNodePorts(s.Type) && samePorts(s.Ports, old.Ports) {
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
	if hasClusterIP(old.Type) && !hasClusterIP(s.Type) && same(s.InternalTrafficPolicy, old.InternalTrafficPolicy) {
		s.InternalTrafficPolicy = nil
	}
	if reachableFromOutside(old) && !reachableFromOutside(s) && s.ExternalTrafficPolicy == old.ExternalTrafficPolicy {
		s.ExternalTrafficPolicy = ""
	}
}

func samePorts(list, old []corev1.ServicePort) bool {
	return slices.EqualFunc(list, old, func(a, b corev1.ServicePort) bool { return a.NodePort == b.NodePort })
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
