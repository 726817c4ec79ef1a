package networking

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func networkPolicyRules() api.RulesOf[*networkingv1.NetworkPolicy] {
	return api.RulesOf[*networkingv1.NetworkPolicy]{
		Default: defaultNetworkPolicy,
		Validate: func(p *networkingv1.NetworkPolicy) field.ErrorList {
			return validatePolicySpec(&p.Spec, nil)
		},
		ValidateUpdate: func(p, old *networkingv1.NetworkPolicy) field.ErrorList {
			return validatePolicySpec(&p.Spec, ranges(&old.Spec))
		},
		Generation: func(p, old *networkingv1.NetworkPolicy) bool {
			return !equality.Semantic.DeepEqual(p.Spec, old.Spec)
		},
	}
}

func defaultNetworkPolicy(p *networkingv1.NetworkPolicy) {
	for i := range p.Spec.Ingress {
		defaultPorts(p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		defaultPorts(p.Spec.Egress[i].Ports)
	}
	if len(p.Spec.PolicyTypes) > 0 {
		return
	}
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(p.Spec.Egress) > 0 {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

func defaultPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			tcp := corev1.ProtocolTCP
			ports[i].Protocol = &tcp
		}
	}
}

// ranges are the address ranges of a policy: what it held stays valid.
func ranges(s *networkingv1.NetworkPolicySpec) []string {
	var out []string
	add := func(peers []networkingv1.NetworkPolicyPeer) {
		for _, p := range peers {
			if p.IPBlock != nil {
				out = append(append(out, p.IPBlock.CIDR), p.IPBlock.Except...)
			}
		}
	}
	for i := range s.Ingress {
		add(s.Ingress[i].From)
	}
	for i := range s.Egress {
		add(s.Egress[i].To)
	}
	return out
}

func validatePolicySpec(s *networkingv1.NetworkPolicySpec, before []string) field.ErrorList {
	at := field.NewPath("spec")
	errs := validate.LabelSelector(&s.PodSelector, at.Child("podSelector"))
	for i := range s.Ingress {
		rule := at.Child("ingress").Index(i)
		errs = append(errs, validatePolicyPorts(s.Ingress[i].Ports, rule.Child("ports"))...)
		errs = append(errs, validatePeers(s.Ingress[i].From, before, rule.Child("from"))...)
	}
	for i := range s.Egress {
		rule := at.Child("egress").Index(i)
		errs = append(errs, validatePolicyPorts(s.Egress[i].Ports, rule.Child("ports"))...)
		errs = append(errs, validatePeers(s.Egress[i].To, before, rule.Child("to"))...)
	}
	return append(errs, validatePolicyTypes(s.PolicyTypes, at.Child("policyTypes"))...)
}

func validatePolicyTypes(types []networkingv1.PolicyType, at *field.Path) field.ErrorList {
	if len(types) > 2 {
		return field.ErrorList{field.Invalid(at, types, "may not specify more than two policyTypes")}
	}
	var errs field.ErrorList
	for i, t := range types {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			errs = append(errs, field.NotSupported(at.Index(i), t,
				[]networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}))
		}
	}
	return errs
}

func validatePolicyPorts(ports []networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range ports {
		errs = append(errs, validatePolicyPort(&ports[i], at.Index(i))...)
	}
	return errs
}

func validatePolicyPort(p *networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Protocol != nil {
		switch *p.Protocol {
		case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		default:
			errs = append(errs, field.NotSupported(at.Child("protocol"), *p.Protocol,
				[]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}))
		}
	}
	end := at.Child("endPort")
	switch {
	case p.Port == nil:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
		}
	case p.Port.Type == intstr.Int:
		errs = append(errs, validate.Port(p.Port.IntValue(), at.Child("port"))...)
		if p.EndPort != nil {
			errs = append(errs, validateEndPort(*p.EndPort, p.Port.IntVal, end)...)
		}
	default:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		}
		errs = append(errs, validate.Each(validation.IsValidPortName(p.Port.StrVal), p.Port.StrVal, at.Child("port"))...)
	}
	return errs
}

func validateEndPort(end, start int32, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if end < start {
		errs = append(errs, field.Invalid(at, start, "must be greater than or equal to `port`")) // upstream names the port
	}
	return append(errs, validate.Port(int(end), at)...)
}

func validatePeers(peers []networkingv1.NetworkPolicyPeer, before []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range peers {
		errs = append(errs, validatePeer(&peers[i], before, at.Index(i))...)
	}
	return errs
}

func validatePeer(p *networkingv1.NetworkPolicyPeer, before []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	count := 0
	if p.PodSelector != nil {
		count++
		errs = append(errs, validate.LabelSelector(p.PodSelector, at.Child("podSelector"))...)
	}
	if p.NamespaceSelector != nil {
		count++
		errs = append(errs, validate.LabelSelector(p.NamespaceSelector, at.Child("namespaceSelector"))...)
	}
	if p.IPBlock != nil {
		count++
		errs = append(errs, validateBlock(p.IPBlock, before, at.Child("ipBlock"))...)
	}
	switch {
	case count == 0:
		errs = append(errs, field.Required(at, "must specify a peer"))
	case count > 1 && p.IPBlock != nil:
		errs = append(errs, field.Forbidden(at, "may not specify both ipBlock and another peer"))
	}
	return errs
}

func validateBlock(b *networkingv1.IPBlock, before []string, at *field.Path) field.ErrorList {
	if b.CIDR == "" {
		return field.ErrorList{field.Required(at.Child("cidr"), "")}
	}
	errs := validate.CIDR(b.CIDR, at.Child("cidr"), before...)
	_, whole, err := netutils.ParseCIDRSloppy(b.CIDR)
	if err != nil { // which was told
		return errs
	}
	size, _ := whole.Mask.Size()
	for i, except := range b.Except {
		path := at.Child("except").Index(i)
		errs = append(errs, validate.CIDR(except, path, before...)...)
		_, part, err := netutils.ParseCIDRSloppy(except)
		if err != nil {
			continue
		}
		if partSize, _ := part.Mask.Size(); !whole.Contains(part.IP) || size >= partSize {
			errs = append(errs, field.Invalid(path, except, "must be a strict subset of `cidr`"))
		}
	}
	return errs
}
