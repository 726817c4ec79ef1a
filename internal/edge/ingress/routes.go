package ingress

import (
	"cmp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

const (
	// Controller is the name by which an IngressClass asks for Knarr.
	Controller = "knarr.io/ingress"
	// classAnnotation is the older way to name a class.
	classAnnotation = "kubernetes.io/ingress.class"
)

// Target is the Service port that a request is for.
type Target struct {
	Service mirror.Key
	// PortName or, where it is empty, PortNumber names the Service's port.
	PortName   string
	PortNumber int32
	// Host is as the Ingress has it, "*" for every host; Class is its class.
	Host, Class string
	Rules
}

// route is a path of a host.
type route struct {
	path   string
	exact  bool
	target Target
}

// Routes is the table of all hosts; it is immutable.
type Routes struct {
	hosts     map[string][]route // exact names; "" is every host
	wildcards map[string][]route // by the part behind "*"
	fallback  *Target
	// certificates names the TLS Secret of each host (or wildcard).
	certificates map[string]mirror.Key
	// names are all hosts and wildcards that Ingresses name.
	names map[string]struct{}
}

// Build makes the table from the Ingresses of our classes. Where two claim
// the same path, the older counts, as most controllers hold it.
func Build(ingresses []*networkingv1.Ingress, classes []*networkingv1.IngressClass) *Routes {
	r := &Routes{hosts: map[string][]route{}, wildcards: map[string][]route{}, certificates: map[string]mirror.Key{},
		names: map[string]struct{}{}}
	ours, byDefault := ourClasses(classes)
	mine := make([]*networkingv1.Ingress, 0, len(ingresses))
	for _, ing := range ingresses {
		if isOurs(ing, ours, byDefault) {
			mine = append(mine, ing)
		}
	}
	slices.SortFunc(mine, older)
	for _, ing := range mine {
		r.add(ing)
	}
	for _, hosts := range []map[string][]route{r.hosts, r.wildcards} {
		for host := range hosts {
			slices.SortStableFunc(hosts[host], before)
		}
	}
	return r
}

// Ours are the Ingresses that the table serves.
func Ours(ingresses []*networkingv1.Ingress, classes []*networkingv1.IngressClass) []*networkingv1.Ingress {
	ours, byDefault := ourClasses(classes)
	return slices.DeleteFunc(slices.Clone(ingresses), func(ing *networkingv1.Ingress) bool { return !isOurs(ing, ours, byDefault) })
}

func ourClasses(classes []*networkingv1.IngressClass) (ours map[string]bool, byDefault bool) {
	ours = map[string]bool{}
	for _, c := range classes {
		if c.Spec.Controller == Controller {
			ours[c.Name] = true
			byDefault = byDefault || c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true"
		}
	}
	return ours, byDefault
}

// isOurs tells whether an Ingress is for us; one without a class is, where
// our class is the default (the API server sets the field on new ones).
func isOurs(ing *networkingv1.Ingress, ours map[string]bool, byDefault bool) bool {
	if ing.Spec.IngressClassName != nil {
		return ours[*ing.Spec.IngressClassName]
	}
	if class, ok := ing.Annotations[classAnnotation]; ok {
		return ours[class]
	}
	return byDefault
}

func older(a, b *networkingv1.Ingress) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (r *Routes) add(ing *networkingv1.Ingress) {
	if b := ing.Spec.DefaultBackend; b != nil && b.Service != nil && r.fallback == nil {
		target := targetOf(ing, "", b.Service)
		r.fallback = &target
	}
	for _, tls := range ing.Spec.TLS {
		for _, host := range hostsOf(ing, tls) {
			r.names[host] = struct{}{}
			if _, taken := r.certificates[host]; !taken && tls.SecretName != "" {
				r.certificates[host] = mirror.Key{Namespace: ing.Namespace, Name: tls.SecretName}
			}
		}
	}
	for _, rule := range ing.Spec.Rules {
		if rule.HTTP != nil {
			r.addRule(ing, rule)
		}
	}
}

// hostsOf are the hosts, or wildcards, that a certificate is for: where none is
// said all that the Ingress has rules for, and "" for one that has a rule for
// every host.
func hostsOf(ing *networkingv1.Ingress, tls networkingv1.IngressTLS) []string {
	var out []string
	for _, host := range tls.Hosts {
		out = append(out, strings.ToLower(host))
	}
	if len(out) > 0 {
		return out
	}
	for _, rule := range ing.Spec.Rules {
		out = append(out, strings.ToLower(rule.Host))
	}
	return out
}

func (r *Routes) addRule(ing *networkingv1.Ingress, rule networkingv1.IngressRule) {
	host := strings.ToLower(rule.Host)
	r.names[host] = struct{}{}
	into := r.hosts
	if suffix, wild := strings.CutPrefix(host, "*"); wild {
		host, into = suffix, r.wildcards
	}
	for _, p := range rule.HTTP.Paths {
		if p.Backend.Service == nil {
			continue
		}
		exact := p.PathType != nil && *p.PathType == networkingv1.PathTypeExact
		into[host] = append(into[host], route{path: cmp.Or(p.Path, "/"), exact: exact, target: targetOf(ing, rule.Host, p.Backend.Service)})
	}
}

func targetOf(ing *networkingv1.Ingress, host string, b *networkingv1.IngressServiceBackend) Target {
	t := Target{Service: mirror.Key{Namespace: ing.Namespace, Name: b.Name}, PortName: b.Port.Name, PortNumber: b.Port.Number,
		Host: cmp.Or(strings.ToLower(host), "*"), Class: ing.Annotations[classAnnotation], Rules: rulesOf(ing.Annotations)}
	if ing.Spec.IngressClassName != nil {
		t.Class = *ing.Spec.IngressClassName
	}
	return t
}

// before orders the paths of a host: the longest first, of equal ones the
// exact first. A slash at the end makes no prefix longer: /foo/ takes what /foo
// does.
func before(a, b route) int {
	if c := cmp.Compare(b.length(), a.length()); c != 0 {
		return c
	}
	switch {
	case a.exact && !b.exact:
		return -1
	case b.exact && !a.exact:
		return 1
	}
	return 0
}

func (r route) length() int {
	if r.exact {
		return len(r.path)
	}
	return len(strings.TrimSuffix(r.path, "/"))
}

// Find gives the target of a request. A host that has rules of its own never
// falls through to those of a wildcard or of every host.
func (r *Routes) Find(host, path string) (Target, bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if t, ok := match(r.rulesOf(host), path); ok {
		return t, true
	}
	if r.fallback != nil {
		return *r.fallback, true
	}
	return Target{}, false
}

func (r *Routes) rulesOf(host string) []route {
	if routes, ok := r.hosts[host]; ok && host != "" {
		return routes
	}
	// A wildcard stands for exactly one label.
	if i := strings.IndexByte(host, '.'); i > 0 {
		if routes, ok := r.wildcards[host[i:]]; ok {
			return routes
		}
	}
	return r.hosts[""]
}

func match(routes []route, path string) (Target, bool) {
	for _, r := range routes {
		if r.matches(path) {
			return r.target, true
		}
	}
	return Target{}, false
}

// matches compares prefixes by whole elements: /foo matches /foo/bar and
// /foo/, not /foobar.
func (r route) matches(path string) bool {
	if r.exact {
		return path == r.path
	}
	prefix := strings.TrimSuffix(r.path, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// Certificate names the Secret for a host, by its own name or its wildcard; for
// the empty one that of all hosts which have none.
func (r *Routes) Certificate(host string) (mirror.Key, bool) {
	host = strings.ToLower(host)
	if key, ok := r.certificates[host]; ok {
		return key, true
	}
	if i := strings.IndexByte(host, '.'); i > 0 {
		key, ok := r.certificates["*"+host[i:]]
		return key, ok
	}
	return mirror.Key{}, false
}

// named gives the host, or the wildcard, by which Ingresses name a server.
func (r *Routes) named(server string) (string, bool) {
	server = strings.ToLower(server)
	if server == "" {
		return "", false
	}
	if _, ok := r.names[server]; ok {
		return server, true
	}
	if i := strings.IndexByte(server, '.'); i > 0 {
		wildcard := "*" + server[i:]
		_, ok := r.names[wildcard]
		return wildcard, ok
	}
	return "", false
}
