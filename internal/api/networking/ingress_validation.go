package networking

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// classAnnotation named the class before the field did.
const classAnnotation = "kubernetes.io/ingress.class"

func ingressRules() api.RulesOf[*networkingv1.Ingress] {
	return api.RulesOf[*networkingv1.Ingress]{
		MetaAgain:      true,
		PrepareCreate:  func(i *networkingv1.Ingress) { i.Status = networkingv1.IngressStatus{} },
		PrepareUpdate:  func(i, old *networkingv1.Ingress) { i.Status = old.Status },
		Validate:       validateIngress,
		ValidateUpdate: func(i, _ *networkingv1.Ingress) field.ErrorList { return validateIngressSpec(&i.Spec) },
		Warn: func(i, _ *networkingv1.Ingress, isUpdate bool) []string {
			if _, ok := i.Annotations[classAnnotation]; !ok || isUpdate || i.Spec.IngressClassName != nil {
				return nil
			}
			return []string{`annotation "` + classAnnotation + `" is deprecated, please use 'spec.ingressClassName' instead`}
		},
		Generation: func(i, old *networkingv1.Ingress) bool { return !equality.Semantic.DeepEqual(i.Spec, old.Spec) },
	}
}

func ingressStatusRules() *api.RulesOf[*networkingv1.Ingress] {
	return &api.RulesOf[*networkingv1.Ingress]{
		PrepareUpdate: func(i, old *networkingv1.Ingress) { i.Spec = old.Spec },
		ValidateUpdate: func(i, old *networkingv1.Ingress) field.ErrorList {
			return validateIngressStatus(i.Status.LoadBalancer.Ingress, old.Status.LoadBalancer.Ingress)
		},
		Warn: func(i, _ *networkingv1.Ingress, _ bool) []string {
			return warnIngressStatus(i.Status.LoadBalancer.Ingress)
		},
	}
}

func validateIngress(i *networkingv1.Ingress) field.ErrorList {
	var errs field.ErrorList
	if class, ok := i.Annotations[classAnnotation]; ok && i.Spec.IngressClassName != nil && class != *i.Spec.IngressClassName {
		errs = append(errs, field.Invalid(field.NewPath("annotations").Child(classAnnotation), class,
			"must match `ingressClassName` when both are specified"))
	}
	return append(errs, validateIngressSpec(&i.Spec)...)
}

func validateIngressSpec(s *networkingv1.IngressSpec) field.ErrorList {
	at := field.NewPath("spec")
	var errs field.ErrorList
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		errs = append(errs, field.Invalid(at, s.Rules, "either `defaultBackend` or `rules` must be specified"))
	}
	if s.DefaultBackend != nil {
		errs = append(errs, validateBackend(s.DefaultBackend, at.Child("defaultBackend"))...)
	}
	for i := range s.Rules {
		errs = append(errs, validateIngressRule(&s.Rules[i], at.Child("rules").Index(i))...)
	}
	for i := range s.TLS {
		errs = append(errs, validateTLS(&s.TLS[i], at.Child("tls").Index(i))...)
	}
	if s.IngressClassName != nil {
		errs = append(errs, validate.Name(validate.Subdomain, *s.IngressClassName, at.Child("ingressClassName"))...)
	}
	return errs
}

func validateIngressRule(r *networkingv1.IngressRule, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.Host != "" {
		if netutils.ParseIPSloppy(r.Host) != nil {
			errs = append(errs, field.Invalid(at.Child("host"), r.Host, "must be a DNS name, not an IP address"))
		}
		errs = append(errs, validateHost(r.Host, at.Child("host"))...)
	}
	if r.HTTP == nil {
		return errs
	}
	paths := at.Child("http", "paths")
	if len(r.HTTP.Paths) == 0 {
		errs = append(errs, field.Required(paths, ""))
	}
	for i := range r.HTTP.Paths {
		errs = append(errs, validatePath(&r.HTTP.Paths[i], paths.Index(i))...)
	}
	return errs
}

// validateHost takes a host name, of which the first label may be a wildcard.
func validateHost(host string, at *field.Path) field.ErrorList {
	why := validation.IsDNS1123Subdomain(host)
	if strings.Contains(host, "*") {
		why = validation.IsWildcardDNS1123Subdomain(host)
	}
	return validate.Each(why, host, at)
}

func validatePath(p *networkingv1.HTTPIngressPath, at *field.Path) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{field.Required(at.Child("pathType"), "pathType must be specified")}
	}
	var errs field.ErrorList
	absolute := strings.HasPrefix(p.Path, "/")
	switch *p.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		if !absolute {
			errs = append(errs, field.Invalid(at.Child("path"), p.Path, "must be an absolute path"))
		}
		errs = append(errs, plainPath(p.Path, at.Child("path"))...)
	case networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" && !absolute {
			errs = append(errs, field.Invalid(at.Child("path"), p.Path, "must be an absolute path"))
		}
	default:
		errs = append(errs, validate.OneOf(*p.PathType, at.Child("pathType"), networkingv1.PathTypeExact,
			networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific)...)
	}
	return append(errs, validateBackend(&p.Backend, at.Child("backend"))...)
}

// plainPath refuses what proxies resolve in different ways.
func plainPath(p string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, s := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(p, s) {
			errs = append(errs, field.Invalid(at, p, "must not contain '"+s+"'"))
		}
	}
	for _, s := range []string{"/..", "/."} {
		if strings.HasSuffix(p, s) {
			errs = append(errs, field.Invalid(at, p, "cannot end with '"+s+"'"))
		}
	}
	return errs
}

func validateBackend(b *networkingv1.IngressBackend, at *field.Path) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Invalid(at, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return validateReference(b.Resource, at.Child("resource"))
	case b.Service != nil:
		return validateServiceBackend(b.Service, at)
	}
	return field.ErrorList{field.Invalid(at, "", "resource or service backend is required")}
}

func validateServiceBackend(s *networkingv1.IngressServiceBackend, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(at.Child("service", "name"), ""))
	} else {
		errs = append(errs, validate.Name(validate.Label, s.Name, at.Child("service", "name"))...)
	}
	port := at.Child("service", "port")
	switch named, numbered := s.Port.Name != "", s.Port.Number != 0; {
	case named && numbered:
		errs = append(errs, field.Invalid(at, "", "cannot set both port name & port number"))
	case named:
		errs = append(errs, validate.Each(validation.IsValidPortName(s.Port.Name), s.Port.Name, port.Child("name"))...)
	case numbered:
		errs = append(errs, validate.Port(int(s.Port.Number), port.Child("number"))...)
	default:
		errs = append(errs, field.Required(at, "port name or number is required"))
	}
	return errs
}

func validateReference(r *corev1.TypedLocalObjectReference, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.APIGroup != nil {
		errs = append(errs, validate.DNS1123Subdomain(*r.APIGroup, at.Child("apiGroup"))...)
	}
	errs = append(errs, segment(r.Kind, at.Child("kind"))...)
	return append(errs, segment(r.Name, at.Child("name"))...)
}

// segment checks a required word that can stand in a URL's path.
func segment(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return validate.Each(path.IsValidPathSegmentName(value), value, at)
}

func validateTLS(t *networkingv1.IngressTLS, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, host := range t.Hosts {
		errs = append(errs, validateHost(host, at.Child("hosts").Index(i))...)
	}
	if t.SecretName != "" {
		errs = append(errs, validate.Name(validate.Subdomain, t.SecretName, at.Child("secretName"))...)
	}
	return errs
}

func warnIngressStatus(points []networkingv1.IngressLoadBalancerIngress) []string {
	var out []string
	for i, p := range points {
		out = append(out, validate.WarnIP(p.IP, field.NewPath("status", "loadBalancer", "ingress").Index(i))...)
	}
	return out
}

func validateIngressStatus(points, old []networkingv1.IngressLoadBalancerIngress) field.ErrorList {
	var errs field.ErrorList
	var before []string
	for _, p := range old {
		before = append(before, p.IP)
	}
	for i, p := range points {
		at := field.NewPath("status", "loadBalancer", "ingress").Index(i)
		if p.IP != "" {
			errs = append(errs, validate.IP(p.IP, at.Child("ip"), before...)...)
		}
		if p.Hostname == "" {
			continue
		}
		errs = append(errs, validate.DNS1123Subdomain(p.Hostname, at.Child("hostname"))...)
		if netutils.ParseIPSloppy(p.Hostname) != nil {
			errs = append(errs, field.Invalid(at.Child("hostname"), p.Hostname, "must be a DNS name, not an IP address"))
		}
	}
	return errs
}
