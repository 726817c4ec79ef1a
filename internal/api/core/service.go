package core

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
)

func serviceKind() *api.Kind {
	return api.Spec[*corev1.Service]{
		Version: version, Name: "Service", Resource: "services", Singular: "service",
		ShortNames: []string{"svc"},
		Categories: []string{"all"},
		Namespaced: true,
		New:        func() *corev1.Service { return &corev1.Service{} },
		NewList:    func() runtime.Object { return &corev1.ServiceList{} },
		Main: api.RulesOf[*corev1.Service]{
			Default:        defaultService,
			PrepareCreate:  prepareService,
			PrepareUpdate:  prepareServiceUpdate,
			Validate:       validateService,
			ValidateUpdate: validateServiceUpdate,
			Warn:           warnService,
			NameRule:       serviceName,
		},
		Status: &api.RulesOf[*corev1.Service]{
			Default:        defaultService,
			PrepareUpdate:  func(s, old *corev1.Service) { s.Spec = old.Spec },
			ValidateUpdate: validateServiceStatus,
			Warn:           warnServiceStatus,
		},
		Subresources: []api.Subresource{{Name: "proxy", GVK: gvk("ServiceProxyOptions"), Verbs: connectVerbs()}},
		Columns:      serviceColumns(),
		Row:          serviceRow,
		Fields: func(s *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		},
		FieldNames:          []string{"spec.clusterIP", "spec.type"},
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}

// serviceName is a DNS label that may start with a digit (KEP-5311).
func serviceName(name string, prefix bool) []string {
	if prefix {
		name = strings.TrimSuffix(name, "-") + "a"
	}
	return validation.IsDNS1123Label(name)
}

const sessionSeconds = corev1.DefaultClientIPServiceAffinitySeconds

func defaultService(s *corev1.Service) {
	spec := &s.Spec
	orSet(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		if c := spec.SessionAffinityConfig; c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
			seconds := int32(sessionSeconds)
			spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
		}
	}
	orSet(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		p := &spec.Ports[i]
		orSet(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if reachableFromOutside(spec) {
		orSet(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if hasClusterIP(spec.Type) {
		optional.Default(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		optional.Default(&spec.AllocateLoadBalancerNodePorts, true)
	}
	for i := range s.Status.LoadBalancer.Ingress {
		if spec.Type != corev1.ServiceTypeLoadBalancer {
			break
		}
		if in := &s.Status.LoadBalancer.Ingress[i]; in.IP != "" {
			optional.Default(&in.IPMode, corev1.LoadBalancerIPModeVIP)
		}
	}
}

func hasClusterIP(t corev1.ServiceType) bool {
	return t == corev1.ServiceTypeClusterIP || hasNodePorts(t)
}

func hasNodePorts(t corev1.ServiceType) bool {
	return t == corev1.ServiceTypeNodePort || t == corev1.ServiceTypeLoadBalancer
}

func reachableFromOutside(s *corev1.ServiceSpec) bool {
	return hasNodePorts(s.Type) || (s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0)
}

func serviceColumns() []api.Column {
	spec := corev1.ServiceSpec{}
	return []api.Column{
		column.Name(),
		column.Text("Type", column.Doc(spec, "type")),
		column.Text("Cluster-IP", column.Doc(spec, "clusterIP")),
		column.Text("External-IP", column.Doc(spec, "externalIPs")),
		column.Text("Port(s)", column.Doc(spec, "ports")),
		column.Age(),
		column.Wide(column.Text("Selector", column.Doc(spec, "selector"))),
	}
}

func serviceRow(s *corev1.Service, now time.Time) []any {
	ip := column.None
	if len(s.Spec.ClusterIPs) > 0 {
		ip = s.Spec.ClusterIPs[0]
	}
	return []any{
		s.Name, string(s.Spec.Type), ip, externalIPs(s), servicePorts(s.Spec.Ports),
		column.Since(s.CreationTimestamp, now), column.Labels(s.Spec.Selector),
	}
}

func servicePorts(ports []corev1.ServicePort) string {
	var out []string
	for _, p := range ports {
		text := itoa(p.Port) + "/" + string(p.Protocol)
		if p.NodePort > 0 {
			text = itoa(p.Port) + ":" + itoa(p.NodePort) + "/" + string(p.Protocol)
		}
		out = append(out, text)
	}
	return column.OrNone(strings.Join(out, ","))
}

// externalIPs is where the service can be reached from outside.
func externalIPs(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return column.OrNone(strings.Join(s.Spec.ExternalIPs, ","))
	case corev1.ServiceTypeLoadBalancer:
		all := append(loadBalancerAddresses(s), s.Spec.ExternalIPs...)
		if len(all) == 0 {
			return "<pending>"
		}
		return strings.Join(all, ",")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	}
	return "<unknown>"
}

// loadBalancerAddresses names each of them once, in order.
func loadBalancerAddresses(s *corev1.Service) []string {
	var out []string
	for _, in := range s.Status.LoadBalancer.Ingress {
		switch {
		case in.IP != "":
			out = append(out, in.IP)
		case in.Hostname != "":
			out = append(out, in.Hostname)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
