package controller_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
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
	testkit.Eventually(t, soon, "the signer's guard refuses", func() bool {
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
