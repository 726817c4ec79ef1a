package certificates

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRules(t *testing.T) {
	const digital, encipher, clientAuth, serverAuth = certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth, certificatesv1.UsageServerAuth
	const kubelet, serving, plain = certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientSignerName
	type usages = []certificatesv1.KeyUsage
	node := pkix.Name{CommonName: "system:node:a", Organization: []string{"system:nodes"}}
	ips := []net.IP{net.IPv4(192, 0, 2, 1)}
	for _, tc := range []struct {
		name, signer string
		request      x509.CertificateRequest
		usages       usages
		refusal      string
	}{
		{"node client", kubelet, x509.CertificateRequest{Subject: node}, usages{clientAuth, digital}, ""},
		{"node client, RSA", kubelet, x509.CertificateRequest{Subject: node}, usages{encipher, clientAuth, digital}, ""},
		{"node client with address", kubelet, x509.CertificateRequest{Subject: node, IPAddresses: ips}, usages{clientAuth, digital}, "IP subjectAltNames are not allowed"},
		{"not a node", kubelet, x509.CertificateRequest{Subject: pkix.Name{CommonName: "a", Organization: []string{"system:nodes"}}}, usages{clientAuth, digital}, "common name"},
		{"masters too", kubelet, x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:a", Organization: []string{"system:nodes", "system:masters"}}}, usages{clientAuth, digital}, "organization"},
		{"node client that serves", kubelet, x509.CertificateRequest{Subject: node}, usages{clientAuth, serverAuth, digital}, "usages did not match [client auth digital signature key encipherment]"},
		{"node serving", serving, x509.CertificateRequest{Subject: node, IPAddresses: ips}, usages{serverAuth, digital}, ""},
		{"node serving without address", serving, x509.CertificateRequest{Subject: node}, usages{serverAuth, digital}, "DNS or IP subjectAltName is required"},
		{"node serving, client", serving, x509.CertificateRequest{Subject: node, IPAddresses: ips}, usages{clientAuth, digital}, "usages did not match"},
		{"client", plain, x509.CertificateRequest{}, usages{clientAuth}, ""},
		{"client that serves", plain, x509.CertificateRequest{}, usages{clientAuth, serverAuth}, "invalid usage for client certificate: server auth"},
		{"client without use", plain, x509.CertificateRequest{}, usages{digital}, "missing required usage for client certificate: client auth"},
		{"legacy", legacyUnknown, x509.CertificateRequest{}, usages{serverAuth}, ""},
	} {
		err := ruleOf(tc.signer)(&tc.request, tc.usages)
		if (err == nil) != (tc.refusal == "") || err != nil && !strings.Contains(err.Error(), tc.refusal) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.refusal)
		}
	}
	if ruleOf("example.com/a") != nil {
		t.Error("a foreign signer has a rule")
	}
}

func TestLife(t *testing.T) {
	for seconds, want := range map[int32]time.Duration{
		1: 10 * time.Minute, 3600: time.Hour, 8 * 3600: 8*time.Hour - 5*time.Minute, 800 * 24 * 3600: longest - 5*time.Minute,
	} {
		if got := lifeOf(&seconds); got != want {
			t.Errorf("%d s: %s, want %s", seconds, got, want)
		}
	}
	if got := lifeOf(nil); got != longest-backdate {
		t.Errorf("by default: %s", got)
	}
}

func TestEnd(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(types ...certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
		var out []certificatesv1.CertificateSigningRequestCondition
		for _, c := range types {
			out = append(out, certificatesv1.CertificateSigningRequestCondition{Type: c, LastUpdateTime: metav1.NewTime(start)})
		}
		return out
	}
	for _, tc := range []struct {
		name       string
		conditions []certificatesv1.CertificateSigningRequestCondition
		issued     bool
		want       time.Duration // zero: never
	}{
		{"pending", nil, false, 24 * time.Hour},
		{"denied", at(certificatesv1.CertificateDenied), false, time.Hour},
		{"failed", at(certificatesv1.CertificateApproved, certificatesv1.CertificateFailed), false, time.Hour},
		{"approved", at(certificatesv1.CertificateApproved), false, 0},
		{"issued", at(certificatesv1.CertificateApproved), true, time.Hour},
	} {
		req := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(start)}}
		req.Status.Conditions = tc.conditions
		if tc.issued {
			req.Status.Certificate = []byte("unreadable")
		}
		got := end(req).Sub(start)
		if tc.want != 0 && got != tc.want || tc.want == 0 && got < 365*24*time.Hour {
			t.Errorf("%s: ends after %s", tc.name, got)
		}
	}
}
