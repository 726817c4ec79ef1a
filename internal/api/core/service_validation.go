package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateService(s *corev1.Service) field.ErrorList { return checkService(s, nil) }

func checkService(s, old *corev1.Service) field.ErrorList {
	path, spec := field.NewPath("spec"), &s.Spec
	headless := isHeadless(spec)
	errs := topologyAnnotations(s)
	errs = append(errs, requiredIf(len(spec.Ports) == 0 && !headless && spec.Type != corev1.ServiceTypeExternalName, path.Child("ports"))...)
	errs = append(errs, serviceType(spec, headless, path)...)
	errs = append(errs, servicePortList(spec.Ports, path.Child("ports"))...)
	errs = append(errs, validate.Labels(spec.Selector, path.Child("selector"))...)
	errs = append(errs, sessionAffinity(spec, path)...)
	errs = append(errs, clusterIPs(s, old, path)...)
	errs = append(errs, serviceExternalIPs(s, old, path.Child("externalIPs"))...)
	errs = append(errs, validate.RequiredOneOf(spec.Type, path.Child("type"), corev1.ServiceTypeClusterIP,
		corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)...)
	errs = append(errs, portConflicts(spec, path.Child("ports"))...)
	errs = append(errs, sourceRanges(s, old, path)...)
	errs = append(errs, loadBalancerFields(spec, path)...)
	errs = append(errs, trafficPolicies(spec, path)...)
	return errs
}

func isHeadless(s *corev1.ServiceSpec) bool {
	return len(s.ClusterIPs) == 1 && s.ClusterIPs[0] == corev1.ClusterIPNone
}

// topologyAnnotations wants the old name and the new one to say the same.
func topologyAnnotations(s *corev1.Service) field.ErrorList {
	older, both := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, set := s.Annotations[corev1.AnnotationTopologyMode]
	if !both || !set || mode == older {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations").Key(corev1.AnnotationTopologyMode), mode,
		fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))}
}

func serviceType(s *corev1.ServiceSpec, headless bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch s.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if headless {
			errs = append(errs, field.Invalid(path.Child("clusterIPs").Index(0), s.ClusterIPs[0],
				fmt.Sprintf("may not be set to 'None' for %s services", s.Type)))
		}
	case corev1.ServiceTypeExternalName:
		const why = "may not be set for ExternalName services"
		errs = append(errs, forbidden(len(s.ClusterIPs) > 0, path.Child("clusterIPs"), why)...)
		errs = append(errs, forbidden(len(s.IPFamilies) > 0, path.Child("ipFamilies"), why)...)
		errs = append(errs, forbidden(s.IPFamilyPolicy != nil, path.Child("ipFamilyPolicy"), why)...)
		// A name with its trailing dot is a full one.
		if name := strings.TrimSuffix(s.ExternalName, "."); name != "" {
			errs = append(errs, validate.DNS1123Subdomain(name, path.Child("externalName"))...)
		} else {
			errs = append(errs, field.Required(path.Child("externalName"), ""))
		}
	}
	return errs
}

func servicePortList(ports []corev1.ServicePort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range ports {
		p, at := &ports[i], path.Index(i)
		switch {
		case p.Name == "" && len(ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			errs = append(errs, validate.DNS1123Label(p.Name, at.Child("name"))...)
			if names.Has(p.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
			names.Insert(p.Name)
		}
		errs = append(errs, validate.Port(int(p.Port), at.Child("port"))...)
		errs = append(errs, validate.RequiredOneOf(p.Protocol, at.Child("protocol"),
			corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
		errs = append(errs, validate.PortOrName(p.TargetPort, at.Child("targetPort"))...)
		if p.AppProtocol != nil {
			errs = append(errs, validate.QualifiedName(*p.AppProtocol, at.Child("appProtocol"))...)
		}
	}
	return errs
}

const maxSessionSeconds = 86400

func sessionAffinity(s *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	errs := validate.RequiredOneOf(s.SessionAffinity, path.Child("sessionAffinity"),
		corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	at := path.Child("sessionAffinityConfig")
	c := s.SessionAffinityConfig
	if s.SessionAffinity == corev1.ServiceAffinityNone {
		return append(errs, forbidden(c != nil, at,
			fmt.Sprintf("must not be set when session affinity is %s", corev1.ServiceAffinityNone))...)
	}
	if s.SessionAffinity != corev1.ServiceAffinityClientIP {
		return errs
	}
	missing := fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)
	switch seconds := at.Child("clientIP", "timeoutSeconds"); {
	case c == nil:
		errs = append(errs, field.Required(at, missing))
	case c.ClientIP == nil:
		errs = append(errs, field.Required(at.Child("clientIP"), missing))
	case c.ClientIP.TimeoutSeconds == nil:
		errs = append(errs, field.Required(seconds, missing))
	case *c.ClientIP.TimeoutSeconds <= 0 || *c.ClientIP.TimeoutSeconds > maxSessionSeconds:
		errs = append(errs, field.Invalid(seconds, *c.ClientIP.TimeoutSeconds,
			fmt.Sprintf("must be greater than 0 and less than %d", maxSessionSeconds)))
	}
	return errs
}

func serviceExternalIPs(s, old *corev1.Service, path *field.Path) field.ErrorList {
	var before []string
	if old != nil {
		before = old.Spec.ExternalIPs
	}
	var errs field.ErrorList
	for i, ip := range s.Spec.ExternalIPs {
		why := validate.IP(ip, path.Index(i), before...)
		if len(why) == 0 {
			why = validate.OrdinaryIP(ip, path.Index(i))
		}
		errs = append(errs, why...)
	}
	return errs
}

// portConflicts wants every port, and every node port, once per protocol.
func portConflicts(s *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	nodePorts, ports := map[corev1.ServicePort]bool{}, map[corev1.ServicePort]bool{}
	for i, p := range s.Ports {
		at := path.Index(i)
		if s.Type == corev1.ServiceTypeClusterIP && p.NodePort != 0 {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		if p.NodePort != 0 {
			key := corev1.ServicePort{Protocol: p.Protocol, NodePort: p.NodePort}
			if nodePorts[key] {
				errs = append(errs, field.Duplicate(at.Child("nodePort"), p.NodePort))
			}
			nodePorts[key] = true
		}
	}
	for i, p := range s.Ports {
		key := corev1.ServicePort{Protocol: p.Protocol, Port: p.Port}
		if ports[key] {
			errs = append(errs, field.Duplicate(path.Index(i), validate.Shown(&key)))
		}
		ports[key] = true
	}
	return errs
}

const onlyLoadBalancer = "may only be used when `type` is 'LoadBalancer'"

func sourceRanges(s, old *corev1.Service, path *field.Path) field.ErrorList {
	isLB := s.Spec.Type == corev1.ServiceTypeLoadBalancer
	at := path.Child("LoadBalancerSourceRanges")
	var before []string
	if old != nil {
		for _, r := range old.Spec.LoadBalancerSourceRanges {
			before = append(before, strings.TrimSpace(r))
		}
	}
	if ranges := s.Spec.LoadBalancerSourceRanges; len(ranges) > 0 {
		errs := forbidden(!isLB, at, onlyLoadBalancer)
		for i, r := range ranges {
			errs = append(errs, validate.CIDR(strings.TrimSpace(r), at.Index(i), before...)...)
		}
		return errs
	}
	value, set := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]
	if !set {
		return nil
	}
	at = field.NewPath("metadata", "annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
	errs := forbidden(!isLB, at, onlyLoadBalancer)
	kept := old != nil && old.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey] == value
	if value = strings.TrimSpace(value); value != "" && !kept {
		for _, r := range strings.Split(value, ",") {
			errs = append(errs, validate.CIDR(strings.TrimSpace(r), at)...)
		}
	}
	return errs
}

func loadBalancerFields(s *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	if s.Type != corev1.ServiceTypeLoadBalancer {
		errs := forbidden(s.AllocateLoadBalancerNodePorts != nil, path.Child("allocateLoadBalancerNodePorts"), onlyLoadBalancer)
		return append(errs, loadBalancerClass(s, path)...)
	}
	errs := requiredIf(s.AllocateLoadBalancerNodePorts == nil, field.NewPath("allocateLoadBalancerNodePorts"))
	return append(errs, loadBalancerClass(s, path)...)
}

// loadBalancerClass is looked at twice in an update, as upstream does.
func loadBalancerClass(s *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	if s.Type != corev1.ServiceTypeLoadBalancer {
		return forbidden(s.LoadBalancerClass != nil, path.Child("loadBalancerClass"), onlyLoadBalancer)
	}
	var errs field.ErrorList
	if s.LoadBalancerClass != nil {
		errs = append(errs, validate.QualifiedName(*s.LoadBalancerClass, path.Child("loadBalancerClass"))...)
	}
	return errs
}

func trafficPolicies(s *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	at := path.Child("externalTrafficPolicy")
	switch {
	case reachableFromOutside(s):
		errs = append(errs, validate.RequiredOneOf(s.ExternalTrafficPolicy, at,
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	case s.ExternalTrafficPolicy != "":
		errs = append(errs, field.Invalid(at, s.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	if n := s.HealthCheckNodePort; hasHealthCheck(s) && n != 0 { // the server gives one where it is missing
		errs = append(errs, validate.Port(int(n), path.Child("healthCheckNodePort"))...)
	} else if n != 0 {
		errs = append(errs, field.Invalid(path.Child("healthCheckNodePort"), s.HealthCheckNodePort,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
	}
	if p := s.InternalTrafficPolicy; hasClusterIP(s.Type) && p == nil {
		errs = append(errs, field.Required(path.Child("internalTrafficPolicy"), ""))
	} else if p != nil {
		errs = append(errs, validate.OneOf(*p, path.Child("internalTrafficPolicy"),
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	}
	if d := s.TrafficDistribution; d != nil {
		errs = append(errs, inOrder(*d, path.Child("trafficDistribution"), corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)...)
	}
	return errs
}
