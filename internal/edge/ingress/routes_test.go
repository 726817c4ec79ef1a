package ingress

import (
	"slices"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

func ourClass() []*networkingv1.IngressClass {
	return []*networkingv1.IngressClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "knarr", Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}},
			Spec: networkingv1.IngressClassSpec{Controller: Controller}},
		{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: networkingv1.IngressClassSpec{Controller: "example.org/other"}},
	}
}

// rule is host, path, type and the Service that it leads to.
type rule struct {
	host, path string
	kind       networkingv1.PathType
	service    string
}

func ingressOf(name string, rules ...rule) *networkingv1.Ingress {
	ing := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	for _, r := range rules {
		ing.Spec.Rules = append(ing.Spec.Rules, networkingv1.IngressRule{Host: r.host, IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: r.path, PathType: &r.kind, Backend: backend(r.service)}}}}})
	}
	return ing
}

func backend(service string) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}}
}

func TestHostsAndPaths(t *testing.T) {
	const prefix, exact = networkingv1.PathTypePrefix, networkingv1.PathTypeExact
	r := Build([]*networkingv1.Ingress{ingressOf("a",
		rule{"shop.example", "/", prefix, "root"},
		rule{"shop.example", "/api", prefix, "api"},
		rule{"shop.example", "/api/v1", exact, "v1"},
		rule{"shop.example", "/slash/", prefix, "slash"},
		rule{"shop.example", "/both/", prefix, "prefix"},
		rule{"shop.example", "/both", exact, "exact"},
		rule{"shop.example", "/both/ways", prefix, "ways"},
		rule{"shop.example", "/both/ways/", exact, "end"},
		rule{"*.wild.example", "/", prefix, "wild"},
		rule{"one.wild.example", "/only", prefix, "one"},
		rule{"", "/any", prefix, "any"},
	)}, ourClass())
	for _, tc := range []struct{ host, path, want string }{
		{"shop.example", "/", "root"},
		{"SHOP.example", "/x", "root"},
		{"shop.example", "/api", "api"},
		{"shop.example", "/api/", "api"},
		{"shop.example", "/apis", "root"},
		{"shop.example", "/api/v1", "v1"},
		{"shop.example", "/api/v1/", "api"},
		{"shop.example", "/slash", "slash"},
		{"shop.example", "/slash/x", "slash"},
		{"shop.example", "/both", "exact"},
		{"shop.example", "/both/", "prefix"},
		{"shop.example", "/both/ways", "ways"},
		{"shop.example", "/both/ways/", "end"},
		{"a.wild.example", "/", "wild"},
		{"a.b.wild.example", "/", ""},
		{"wild.example", "/", ""},
		{"one.wild.example", "/only", "one"},
		{"one.wild.example", "/other", ""},
		{"elsewhere.example", "/any/x", "any"},
		{"elsewhere.example", "/", ""},
		{"", "/any", "any"},
	} {
		got, ok := r.Find(tc.host, tc.path)
		if got.Service.Name != tc.want || ok != (tc.want != "") {
			t.Errorf("%s%s leads to %q (%v), want %q", tc.host, tc.path, got.Service.Name, ok, tc.want)
		}
	}
}

func TestOnlyOurClassesCount(t *testing.T) {
	const prefix = networkingv1.PathTypePrefix
	named := func(name, class string) *networkingv1.Ingress {
		ing := ingressOf(name, rule{name + ".example", "/", prefix, name})
		ing.Spec.IngressClassName = &class
		return ing
	}
	old := ingressOf("old", rule{"old.example", "/", prefix, "old"})
	old.Annotations = map[string]string{classAnnotation: "other"}
	all := []*networkingv1.Ingress{named("ours", "knarr"), named("theirs", "other"), named("unknown", "nobody"), old,
		ingressOf("none", rule{"none.example", "/", prefix, "none"})}
	r := Build(all, ourClass())
	for host, want := range map[string]bool{"ours.example": true, "theirs.example": false, "unknown.example": false, "old.example": false, "none.example": true} {
		if _, ok := r.Find(host, "/"); ok != want {
			t.Errorf("%s is served: %v, want %v", host, ok, want)
		}
	}
	if got := len(Ours(all, ourClass())); got != 2 {
		t.Errorf("%d Ingresses are ours, want 2", got)
	}
}

func TestDefaultBackendAndCertificates(t *testing.T) {
	ing := ingressOf("a")
	fallback := backend("spare")
	ing.Spec.DefaultBackend = &fallback
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"a.example", "*.b.example"}, SecretName: "tls"}}
	r := Build([]*networkingv1.Ingress{ing}, ourClass())
	if got, ok := r.Find("whatever", "/x"); !ok || got.Service.Name != "spare" {
		t.Errorf("got %v, %v", got, ok)
	}
	for host, want := range map[string]bool{"a.example": true, "A.example": true, "x.b.example": true, "b.example": false, "c.example": false} {
		key, ok := r.Certificate(host)
		if ok != want || ok && key != (mirror.Key{Namespace: "ns", Name: "tls"}) {
			t.Errorf("%s: %v, %v; want %v", host, key, ok, want)
		}
	}
}

// Where two Ingresses claim the same, the older has it, by name where they are
// equally old; the rest of the younger one counts.
func TestOverlappingHosts(t *testing.T) {
	const prefix, exact = networkingv1.PathTypePrefix, networkingv1.PathTypeExact
	aged := func(name string, minutes int, rules ...rule) *networkingv1.Ingress {
		ing := ingressOf(name, rules...)
		ing.CreationTimestamp = metav1.NewTime(time.Unix(1_700_000_000, 0).Add(-time.Duration(minutes) * time.Minute))
		ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"Web.example"}, SecretName: name}}
		return ing
	}
	all := []*networkingv1.Ingress{
		aged("young", 1, rule{"web.example", "/", prefix, "young"}, rule{"web.example", "/more", prefix, "more"}, rule{"*.wild.example", "/", prefix, "young"}),
		aged("old", 9, rule{"WEB.example", "/", prefix, "old"}, rule{"web.example", "/x", prefix, "old"}, rule{"web.example", "/slash", prefix, "old"}),
		aged("b", 5, rule{"one.wild.example", "/", prefix, "b"}, rule{"web.example", "/x", exact, "b"}, rule{"web.example", "/slash/", prefix, "b"}),
		aged("a", 5, rule{"one.wild.example", "/", prefix, "a"}),
	}
	for range 2 {
		r := Build(all, ourClass())
		for _, tc := range []struct{ host, path, want string }{
			{"web.example", "/", "old"}, {"web.example", "/more/x", "more"}, {"web.example", "/x", "b"}, {"web.example", "/x/y", "old"}, {"web.example", "/slash/y", "old"},
			{"one.wild.example", "/", "a"}, {"two.wild.example", "/", "young"},
		} {
			if got, _ := r.Find(tc.host, tc.path); got.Service.Name != tc.want {
				t.Errorf("%s%s leads to %q, want %q", tc.host, tc.path, got.Service.Name, tc.want)
			}
		}
		if key, _ := r.Certificate("web.example"); key.Name != "old" {
			t.Errorf("the certificate is %v", key)
		}
		slices.Reverse(all)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("shop.example", "/a/b", "/a")
	f.Fuzz(func(t *testing.T, host, path, prefix string) {
		r := Build([]*networkingv1.Ingress{ingressOf("a", rule{"shop.example", prefix, networkingv1.PathTypePrefix, "s"})}, ourClass())
		_, ok := r.Find(host, path)
		if ok && host != "" && len(prefix) > 1 && len(path) < len(prefix)-1 {
			t.Errorf("%q matches the longer prefix %q", path, prefix)
		}
	})
}

// A certificate for no host in particular is for those of its Ingress, and of
// one that is for every host for all that nobody names.
func TestCertificatesWithoutHosts(t *testing.T) {
	whole := []networkingv1.IngressTLS{{SecretName: "own"}}
	ing := ingressOf("a", rule{"Web.example", "/", networkingv1.PathTypePrefix, "web"}, rule{"*.shop.example", "/", networkingv1.PathTypePrefix, "web"})
	ing.Spec.TLS = whole
	every := ingressOf("b", rule{"", "/", networkingv1.PathTypePrefix, "web"})
	every.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "every"}}
	r := Build([]*networkingv1.Ingress{ing, every}, ourClass())
	for host, want := range map[string]string{"web.example": "own", "x.shop.example": "own", "": "every", "nobody.example": ""} {
		if key, _ := r.Certificate(host); key.Name != want {
			t.Errorf("%q has the certificate %q, want %q", host, key.Name, want)
		}
	}
}
