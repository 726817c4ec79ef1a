package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// IngressSigner signs serving certificates of hosts that Ingresses name and
// that have no certificate of their own.
const IngressSigner = "knarr.io/ingress"

// checkIngress wants names of hosts and nothing else.
func checkIngress(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case len(r.Subject.Organization) > 0:
		return errors.New("subject organization is not allowed")
	case len(r.EmailAddresses)+len(r.IPAddresses)+len(r.URIs) > 0:
		return errors.New("only DNS subjectAltNames are allowed")
	case len(r.DNSNames) == 0:
		return errors.New("DNS subjectAltName is required")
	case r.Subject.CommonName != "" && !slices.Contains(r.DNSNames, r.Subject.CommonName):
		return errors.New("subject common name is none of the DNS subjectAltNames")
	}
	return exactly(usages, certificatesv1.UsageServerAuth)
}

// serves decides on a request of the edge: it may serve under names that an
// Ingress has, but for those of the API and of nodes, whose certificates are
// of the same authority.
func (k known) serves(req signingRequest, parsed *x509.CertificateRequest) verdict {
	if req.Spec.SignerName != IngressSigner || checkIngress(parsed, req.Spec.Usages) != nil {
		return verdict{}
	}
	for _, host := range parsed.DNSNames {
		if owner := k.ownerOf(host); owner != "" {
			return verdict{reason: "ForeignName", refuse: fmt.Sprintf("%q is the name of %s", host, owner)}
		}
		if !slices.ContainsFunc(k.ingresses, func(ing *networkingv1.Ingress) bool { return names(ing, host) }) {
			return verdict{reason: "UnknownHost", refuse: fmt.Sprintf("no Ingress has the host %q", host)}
		}
	}
	return verdict{approved: true}
}

// ownerOf tells whom a host name, or one that a wildcard stands for, belongs
// to; empty for nobody.
func (k known) ownerOf(host string) string {
	stands := func(name string) bool {
		_, parent, _ := strings.Cut(name, ".")
		return strings.EqualFold(host, name) || strings.EqualFold(host, "*."+parent)
	}
	if slices.ContainsFunc(k.reserved, stands) {
		return "the API server"
	}
	for _, n := range k.nodes {
		if stands(n.Name) {
			return "node " + n.Name
		}
	}
	return ""
}

// names tells whether an Ingress names the host, by a rule or for TLS.
func names(ing *networkingv1.Ingress, host string) bool {
	is := func(h string) bool { return strings.EqualFold(h, host) }
	return slices.ContainsFunc(ing.Spec.Rules, func(r networkingv1.IngressRule) bool { return is(r.Host) }) ||
		slices.ContainsFunc(ing.Spec.TLS, func(t networkingv1.IngressTLS) bool { return slices.ContainsFunc(t.Hosts, is) })
}
