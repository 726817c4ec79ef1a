package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
)

const (
	legacyUnknown = "kubernetes.io/legacy-unknown"
	nodesGroup    = "system:nodes"
	nodePrefix    = "system:node:"
)

// way is a kind of request that is approved for whoever may create the
// subresource.
type way struct{ subresource, message string }

// review asks for the request's author.
func (w way) review(req signingRequest) *authorizationv1.SubjectAccessReview {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range req.Spec.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: req.Spec.Username, UID: req.Spec.UID, Groups: req.Spec.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: certificatesv1.GroupName, Version: "*", Resource: "certificatesigningrequests", Subresource: w.subresource, Verb: "create",
		},
	}}
}

// recognize tells in which ways a request may be approved without a person:
// a node's client certificate, first for the node itself.
func recognize(req signingRequest, parsed *x509.CertificateRequest) []way {
	if req.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || checkNodeClient(parsed, req.Spec.Usages) != nil {
		return nil
	}
	var out []way
	if req.Spec.Username == parsed.Subject.CommonName {
		out = append(out, way{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."})
	}
	return append(out, way{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."})
}

// rule refuses what a signer does not sign.
type rule func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error

// ruleOf is the rule of a signer that is served here; nil for others.
func ruleOf(signer string) rule {
	switch signer {
	case certificatesv1.KubeletServingSignerName:
		return checkNodeServing
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return checkNodeClient
	case certificatesv1.KubeAPIServerClientSignerName:
		return checkClient
	case NodeServiceSigner:
		return checkNodeService
	case IngressSigner:
		return checkIngress
	case legacyUnknown:
		return func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error { return nil }
	}
	return nil
}

func checkNodeClient(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(r.Subject.Organization, []string{nodesGroup}):
		return errors.New("subject organization is not system:nodes")
	case len(r.DNSNames) > 0:
		return errors.New("DNS subjectAltNames are not allowed")
	case len(r.EmailAddresses) > 0:
		return errors.New("Email subjectAltNames are not allowed")
	case len(r.IPAddresses) > 0:
		return errors.New("IP subjectAltNames are not allowed")
	case len(r.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	case !strings.HasPrefix(r.Subject.CommonName, nodePrefix):
		return errors.New("subject common name does not begin with system:node:")
	}
	return exactly(usages, certificatesv1.UsageClientAuth)
}

func checkNodeServing(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(r.Subject.Organization, []string{nodesGroup}):
		return errors.New("subject organization is not system:nodes")
	case len(r.DNSNames) == 0 && len(r.IPAddresses) == 0:
		return errors.New("DNS or IP subjectAltName is required")
	case len(r.EmailAddresses) > 0:
		return errors.New("Email subjectAltNames are not allowed")
	case len(r.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	case !strings.HasPrefix(r.Subject.CommonName, nodePrefix):
		return errors.New("subject common name does not begin with system:node:")
	}
	return exactly(usages, certificatesv1.UsageServerAuth)
}

// exactly wants the purpose with digital signatures; key encipherment, of use
// to RSA keys alone, may be there.
func exactly(usages []certificatesv1.KeyUsage, purpose certificatesv1.KeyUsage) error {
	full := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, purpose}
	slices.Sort(full)
	have := slices.Compact(slices.Sorted(slices.Values(usages)))
	least := slices.DeleteFunc(slices.Clone(full), func(u certificatesv1.KeyUsage) bool { return u == certificatesv1.UsageKeyEncipherment })
	if slices.Equal(have, full) || slices.Equal(have, least) {
		return nil
	}
	return fmt.Errorf("usages did not match %v", full)
}

func checkClient(_ *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	for _, u := range usages {
		switch u {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", u)
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return fmt.Errorf("missing required usage for client certificate: %s", certificatesv1.UsageClientAuth)
	}
	return nil
}
