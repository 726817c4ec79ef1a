package builtin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/certificates"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

func signingRequest(t *testing.T, signer string, groups ...string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane", Organization: groups}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		},
	}
}

// allows lets verbs on signers through, as "verb name".
func allows(rules ...string) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		for _, r := range rules {
			if a.GetResource() == "signers" && a.GetAPIGroup() == "certificates.k8s.io" && r == a.GetVerb()+" "+a.GetName() {
				return authorizer.DecisionAllow, "", nil
			}
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
}

func TestSignersGuardTheirRequests(t *testing.T) {
	old := signingRequest(t, "example.com/a")
	approved := old.DeepCopy()
	approved.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved}}
	signed := old.DeepCopy()
	signed.Status.Certificate = []byte("x")
	labelled := old.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	redirected := approved.DeepCopy()
	redirected.Spec.SignerName = "example.org/b"
	for _, tc := range []struct {
		name, subresource string
		now               *certificatesv1.CertificateSigningRequest
		rule, refusal     string
	}{
		{"approve", "approval", approved, "approve example.com/a", ""},
		{"approve all of the domain", "approval", approved, "approve example.com/*", ""},
		{"approve without the right", "approval", approved, "sign example.com/a", `user not permitted to approve requests with signerName "example.com/a"`},
		{"approve by another signer's right", "approval", redirected, "approve example.org/b", `user not permitted to approve requests with signerName "example.com/a"`},
		{"sign", "status", signed, "sign example.com/a", ""},
		{"sign without the right", "status", signed, "approve example.com/a", `user not permitted to sign requests with signerName "example.com/a"`},
		{"conditions without the right", "status", approved, "", `user not permitted to sign requests with signerName "example.com/a"`},
		{"nothing of the status", "status", labelled, "", ""},
		{"the request itself", "", labelled, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			chain := admission.Chain{certificateApproval(allows(tc.rule)), certificateSigning(allows(tc.rule)), certificateSubjectRestriction()}
			check(t, chain, &admission.Attributes{
				Operation: admission.Update, Subresource: tc.subresource, Object: tc.now, Old: old,
			}, tc.refusal)
		})
	}
}

func TestSubjectRestriction(t *testing.T) {
	broken := signingRequest(t, certificatesv1.KubeAPIServerClientSignerName)
	broken.Spec.Request = []byte("nonsense")
	for _, tc := range []struct {
		name    string
		request *certificatesv1.CertificateSigningRequest
		refusal string
	}{
		{"harmless", signingRequest(t, certificatesv1.KubeAPIServerClientSignerName, "dev"), ""},
		{"masters", signingRequest(t, certificatesv1.KubeAPIServerClientSignerName, "dev", "system:masters"),
			"use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"},
		{"masters of another signer", signingRequest(t, "example.com/a", "system:masters"), ""},
		{"broken", broken, "failed to parse CSR"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			check(t, admission.Chain{certificateSubjectRestriction()}, &admission.Attributes{Operation: admission.Create, Object: tc.request}, tc.refusal)
		})
	}
}

// check expects a refusal with the text, or none where it is empty.
func check(t *testing.T, chain admission.Chain, a *admission.Attributes, refusal string) {
	t.Helper()
	a.Kind, a.Name, a.User = certificates.CertificateSigningRequest(), "r", &user.DefaultInfo{Name: "jane"}
	err := chain.Validate(t.Context(), a)
	if refusal == "" && err != nil {
		t.Error(err)
	}
	if refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal)) {
		t.Errorf("got %v, want %q", err, refusal)
	}
}
