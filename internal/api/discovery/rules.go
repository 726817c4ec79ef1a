package discovery

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// Limits of a slice.
const (
	maxEndpoints = 1000
	maxAddresses = 100
	maxPorts     = 20000
	maxTopology  = 16
	maxHints     = 8
)

func rules() api.RulesOf[*discoveryv1.EndpointSlice] {
	return api.RulesOf[*discoveryv1.EndpointSlice]{
		MetaAsNew: true,
		Default:   defaultSlice,
		PrepareCreate: func(s *discoveryv1.EndpointSlice) {
			s.Generation = 1
			dropTopology(s, nil)
			dropEmpty(s)
		},
		PrepareUpdate: func(s, old *discoveryv1.EndpointSlice) {
			s.Generation = old.Generation
			if changed(s, old) { // also in what is dropped below
				s.Generation++
			}
			dropTopology(s, old)
			dropEmpty(s)
		},
		Validate:       func(s *discoveryv1.EndpointSlice) field.ErrorList { return validateSlice(s, nil) },
		ValidateUpdate: validateUpdate,
		Warn:           warn,
	}
}

func defaultSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		if s.Ports[i].Name == nil {
			s.Ports[i].Name = new(string)
		}
		if s.Ports[i].Protocol == nil {
			tcp := corev1.ProtocolTCP
			s.Ports[i].Protocol = &tcp
		}
	}
}

// dropEmpty makes no difference between no list and an empty one, since
// upstream's storage keeps none.
func dropEmpty(s *discoveryv1.EndpointSlice) {
	if len(s.Endpoints) == 0 {
		s.Endpoints = nil
	}
	if len(s.Ports) == 0 {
		s.Ports = nil
	}
}

// dropTopology removes the map that v1 only shows, unless nothing of the
// endpoints changed. A node's name that only the map held moves into its field.
func dropTopology(s, old *discoveryv1.EndpointSlice) {
	known := map[string]bool{}
	if old != nil {
		if equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) {
			return
		}
		for i := range old.Endpoints {
			known[old.Endpoints[i].DeprecatedTopology[corev1.LabelHostname]] = true
		}
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		node := e.DeprecatedTopology[corev1.LabelHostname]
		if e.NodeName == nil && node != "" && known[node] && len(validate.Subdomain(node, false)) == 0 {
			e.NodeName = &node
		}
		e.DeprecatedTopology = nil
	}
}

// warn tells of a deprecated type of address, when a slice is made, and of
// addresses in unusual forms that no controller of the cluster wrote.
func warn(s, _ *discoveryv1.EndpointSlice, isUpdate bool) []string {
	var out []string
	if !isUpdate && s.AddressType == discoveryv1.AddressTypeFQDN {
		out = append(out, "spec.addressType: FQDN endpoints are deprecated")
	}
	switch s.Labels[discoveryv1.LabelManagedBy] {
	case "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io":
		return out
	}
	for i := range s.Endpoints {
		at := field.NewPath("endpoints").Index(i).Child("addresses")
		for j, a := range s.Endpoints[i].Addresses {
			out = append(out, validate.WarnIP(a, at.Index(j))...)
		}
	}
	return out
}

// changed counts everything but metadata, and labels.
func changed(s, old *discoveryv1.EndpointSlice) bool {
	a, b := *s, *old
	a.ObjectMeta, b.ObjectMeta = metav1.ObjectMeta{Labels: s.Labels}, metav1.ObjectMeta{Labels: old.Labels}
	a.TypeMeta, b.TypeMeta = metav1.TypeMeta{}, metav1.TypeMeta{}
	return !equality.Semantic.DeepEqual(&a, &b)
}

func validateUpdate(s, old *discoveryv1.EndpointSlice) field.ErrorList {
	errs := validateSlice(s, old)
	return append(errs, validate.Immutable(s.AddressType, old.AddressType, field.NewPath("addressType"))...)
}

func validateSlice(s, old *discoveryv1.EndpointSlice) field.ErrorList {
	errs := validate.RequiredOneOf(s.AddressType, field.NewPath("addressType"),
		discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	errs = append(errs, validatePorts(s.Ports, field.NewPath("ports"))...)
	wrong := validateEndpoints(s.Endpoints, s.AddressType, field.NewPath("endpoints"))
	if len(wrong) > 0 && old != nil && equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) {
		return errs // what was stored stays valid
	}
	return append(errs, wrong...)
}

func validateEndpoints(list []discoveryv1.Endpoint, t discoveryv1.AddressType, path *field.Path) field.ErrorList {
	if n := len(list); n > maxEndpoints {
		return field.ErrorList{field.TooMany(path, n, maxEndpoints)}
	}
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, validateEndpoint(&list[i], t, path.Index(i))...)
	}
	return errs
}

func validatePorts(ports []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	if n := len(ports); n > maxPorts {
		return field.ErrorList{field.TooMany(path, n, maxPorts)}
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, p := range ports {
		at := path.Index(i)
		if p.Name != nil {
			if *p.Name != "" {
				errs = append(errs, validate.DNS1123Label(*p.Name, at.Child("name"))...)
			}
			if seen[*p.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), *p.Name))
			}
			seen[*p.Name] = true
		}
		errs = append(errs, validatePort(&p, at)...)
	}
	return errs
}

func validatePort(p *discoveryv1.EndpointPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Protocol == nil {
		errs = append(errs, field.Required(at.Child("protocol"), ""))
	} else {
		errs = append(errs, validate.OneOf(*p.Protocol, at.Child("protocol"),
			corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
	}
	if p.AppProtocol != nil {
		errs = append(errs, validate.QualifiedName(*p.AppProtocol, at.Child("appProtocol"))...)
	}
	return errs
}

func validateEndpoint(e *discoveryv1.Endpoint, t discoveryv1.AddressType, at *field.Path) field.ErrorList {
	addresses := at.Child("addresses")
	var errs field.ErrorList
	switch n := len(e.Addresses); {
	case n == 0:
		errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
	case n > maxAddresses:
		errs = append(errs, field.TooMany(addresses, n, maxAddresses))
	}
	for i, a := range e.Addresses {
		errs = append(errs, validateAddress(a, t, addresses, i)...)
	}
	if e.NodeName != nil {
		errs = append(errs, validate.Name(validate.Subdomain, *e.NodeName, at.Child("nodeName"))...)
	}
	topology := at.Child("deprecatedTopology")
	if n := len(e.DeprecatedTopology); n > maxTopology {
		errs = append(errs, field.TooMany(topology, n, maxTopology))
	}
	errs = append(errs, validate.Labels(e.DeprecatedTopology, topology)...)
	if e.Hostname != nil {
		errs = append(errs, validate.DNS1123Label(*e.Hostname, at.Child("hostname"))...)
	}
	if e.Hints != nil {
		errs = append(errs, validateHints(e.Hints, at.Child("hints"))...)
	}
	return errs
}

// validateAddress checks one of the addresses. That it is of the wrong family
// is said of the list, as upstream says it. IPv4 is older than strict parsing.
func validateAddress(a string, t discoveryv1.AddressType, list *field.Path, i int) field.ErrorList {
	at := list.Index(i)
	switch t {
	case discoveryv1.AddressTypeIPv4:
		return ordinary(a, at, list, validate.IP(a, at), netutils.IsIPv4String(a), "must be an IPv4 address")
	case discoveryv1.AddressTypeIPv6:
		return ordinary(a, at, list, validation.IsValidIP(at, a), netutils.IsIPv6String(a), "must be an IPv6 address")
	case discoveryv1.AddressTypeFQDN:
		return validation.IsFullyQualifiedDomainName(at, a)
	}
	return nil
}

func ordinary(a string, at, list *field.Path, errs field.ErrorList, ofFamily bool, wrong string) field.ErrorList {
	if len(errs) > 0 {
		return errs
	}
	if !ofFamily {
		errs = append(errs, field.Invalid(list, a, wrong))
	}
	return append(errs, validate.OrdinaryIP(a, at)...)
}

func validateHints(h *discoveryv1.EndpointHints, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	zones, seen := at.Child("forZones"), map[string]bool{}
	if n := len(h.ForZones); n > maxHints {
		return append(errs, field.TooMany(zones, n, maxHints))
	}
	for i, z := range h.ForZones {
		name := zones.Index(i).Child("name")
		if seen[z.Name] {
			errs = append(errs, field.Duplicate(name, z.Name))
		}
		seen[z.Name] = true
		errs = append(errs, validate.Each(validation.IsValidLabelValue(z.Name), z.Name, name)...)
	}
	nodes, seen := at.Child("forNodes"), map[string]bool{}
	if n := len(h.ForNodes); n > maxHints {
		return append(errs, field.TooMany(nodes, n, maxHints))
	}
	for i, n := range h.ForNodes {
		name := nodes.Index(i).Child("name")
		if seen[n.Name] {
			errs = append(errs, field.Duplicate(name, n.Name))
		}
		seen[n.Name] = true
		errs = append(errs, validate.Name(validate.Subdomain, n.Name, name)...)
	}
	return errs
}
