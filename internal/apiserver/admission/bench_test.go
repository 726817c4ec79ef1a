package admission_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// BenchmarkWrite is what a write in the server's process costs, as a dry run:
// with nothing configured, with configurations that are about other resources,
// with one policy, and with one webhook on this machine.
func BenchmarkWrite(b *testing.B) {
	const rules = `[{"apiGroups":[%q],"apiVersions":["v1"],"operations":["*"],"resources":["configmaps"]}]`
	policy := func(b *testing.B, s *apitest.Server, group string) {
		must(b, s, "validatingadmissionpolicies", fmt.Sprintf(`{"metadata":{"name":"p"},"spec":{"matchConstraints":{"resourceRules":`+rules+`},
			"validations":[{"expression":"object.metadata.name.startsWith('c')"}]}}`, group))
		must(b, s, "validatingadmissionpolicybindings", `{"metadata":{"name":"p"},"spec":{"policyName":"p","validationActions":["Deny"]}}`)
	}
	webhook := func(b *testing.B, s *apitest.Server, group string) {
		hook := httptest.NewTLSServer(http.HandlerFunc(allow))
		b.Cleanup(hook.Close)
		ca, err := json.Marshal(pemOf(hook))
		if err != nil {
			b.Fatal(err)
		}
		must(b, s, "validatingwebhookconfigurations", fmt.Sprintf(`{"metadata":{"name":"w"},"webhooks":[{"name":"w.example.com","sideEffects":"None",
			"admissionReviewVersions":["v1"],"clientConfig":{"url":%q,"caBundle":%s},"rules":`+rules+`}]}`, hook.URL, ca, group))
	}
	for name, configure := range map[string]func(*testing.B, *apitest.Server){
		"nothing":  func(*testing.B, *apitest.Server) {},
		"no match": func(b *testing.B, s *apitest.Server) { policy(b, s, "other"); webhook(b, s, "other") },
		"policy":   func(b *testing.B, s *apitest.Server) { policy(b, s, "") },
		"webhook":  func(b *testing.B, s *apitest.Server) { webhook(b, s, "") },
	} {
		b.Run(name, func(b *testing.B) {
			s := apitest.Start(b, nil)
			configure(b, s)
			kind := s.Catalog.TypeOf(&corev1.ConfigMap{})
			as := s.Transport(&user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup}})
			for b.Loop() {
				_, err := as.Do(context.Background(), &request.Request{Verb: request.Create, Kind: kind, Namespace: "default",
					Object:        &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "default"}, Data: map[string]string{"a": "1"}},
					CreateOptions: metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func must(b *testing.B, s *apitest.Server, resource, body string) {
	b.Helper()
	code, _, answer := s.Do(b, http.MethodPost, "/apis/admissionregistration.k8s.io/v1/"+resource, body, "Content-Type", "application/json")
	if code != http.StatusCreated {
		b.Fatalf("%s: %d %s", resource, code, answer)
	}
}

func allow(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if json.NewDecoder(r.Body).Decode(&review) != nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

// pemOf is the certificate that the server's client is to trust.
func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
