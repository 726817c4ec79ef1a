package controller_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/csr"
	"github.com/knarr-io/knarr/internal/controller/certificates"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

type signingRequest = *certificatesv1.CertificateSigningRequest

func request(t *testing.T, name, signer string, subject pkix.Name, usages ...certificatesv1.KeyUsage) signingRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: signer, Usages: usages, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		},
	}
}

func approve(r signingRequest) signingRequest {
	out := r.DeepCopy()
	out.Status.Conditions = append(out.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
	})
	return out
}

func TestApprovalNeedsTheSigner(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	create(t, c, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "approval"},
		Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"update"}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests/approval"},
		}},
	})
	create(t, c, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "approval"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "approval"},
		Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "jane"}},
	})
	r := create(t, c, request(t, "r", "example.com/a", pkix.Name{CommonName: "joe"}, certificatesv1.UsageClientAuth))
	requests := client.For[signingRequest](c.As("jane"))
	await.Until(t, soon, "the signer's guard refuses", func() bool {
		_, err := requests.UpdateSubresource(t.Context(), approve(r), "approval")
		return apierrors.IsForbidden(err) && containsText(err, "user not permitted to approve requests with signerName")
	})
	if _, err := client.For[signingRequest](c.Admin).UpdateSubresource(t.Context(), approve(r), "approval"); err != nil {
		t.Error("the administrator: ", err)
	}
}

func containsText(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

// issued waits for a certificate and checks that the authority made it.
func issued(t *testing.T, c *testkit.Cluster, ca *pki.CA, name string) *x509.Certificate {
	t.Helper()
	var data []byte
	await.Until(t, soon, name+" is issued", func() bool {
		r, _ := get[signingRequest](t, c, "", name)
		data = r.Status.Certificate
		return len(data) > 0
	})
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	return cert
}

func TestCertificatesAreApprovedAndSigned(t *testing.T) {
	authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ca := authority.ClusterCA()
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true, Signer: ca})
	create(t, c, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "renewal"},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"},
		Subjects:   []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "Group", Name: "system:nodes"}},
	})
	node := pkix.Name{CommonName: "system:node:a", Organization: []string{"system:nodes"}}
	self := request(t, "self", certificatesv1.KubeAPIServerClientKubeletSignerName, node, certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth)
	if _, err := client.For[signingRequest](c.As("system:node:a", "system:nodes")).Create(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	if cert := issued(t, c, ca, "self"); cert.Subject.CommonName != "system:node:a" || cert.IsCA {
		t.Errorf("certificate of %s, authority %t", cert.Subject, cert.IsCA)
	}

	person := create(t, c, request(t, "person", certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "jane"}, certificatesv1.UsageClientAuth))
	wrong := create(t, c, request(t, "wrong", certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "jane"}, certificatesv1.UsageServerAuth))
	for _, r := range []signingRequest{person, wrong} {
		if _, err := client.For[signingRequest](c.Admin).UpdateSubresource(t.Context(), approve(r), "approval"); err != nil {
			t.Fatal(err)
		}
	}
	issued(t, c, ca, "person")
	await.Until(t, soon, "what the signer does not sign fails", func() bool {
		r, _ := get[signingRequest](t, c, "", "wrong")
		last := r.Status.Conditions[len(r.Status.Conditions)-1]
		return last.Type == certificatesv1.CertificateFailed && last.Reason == "SignerValidationFailure" && len(r.Status.Certificate) == 0
	})
}

// The edge asks by itself for hosts that have no certificate of their own.
func TestHostsOfIngressesGetCertificates(t *testing.T) {
	authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true, Signer: authority.ClusterCA()})
	create(t, c, &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: networkingv1.IngressSpec{
		TLS:            []networkingv1.IngressTLS{{Hosts: []string{"web.example"}}},
		DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}},
	}})
	ask := func(host string) (csr.Pair, error) {
		return csr.Ask(t.Context(), c.As(certificates.EdgeUser), csr.Order{Prefix: "knarr-ingress-", Signer: certificates.IngressSigner,
			Purpose: certificatesv1.UsageServerAuth, Names: x509.CertificateRequest{DNSNames: []string{host}}, Seconds: 24 * 3600})
	}
	var pair csr.Pair
	await.Until(t, soon, "the host gets a certificate", func() bool {
		pair, err = ask("web.example")
		return err == nil
	})
	cert, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: authority.ClusterCA().Pool(), DNSName: "web.example"}); err != nil {
		t.Error(err)
	}
	if _, err := ask("other.example"); !containsText(err, `no Ingress has the host "other.example"`) {
		t.Errorf("a host that no Ingress names: %v", err)
	}
}
