package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

const (
	configurations = "/apis/admissionregistration.k8s.io/v1/"
	configMaps     = "/api/v1/namespaces/default/configmaps"
)

// world is an API server and a TLS server that answers reviews.
type world struct {
	*apitest.Server
	hooks *httptest.Server
	ca    string

	mu   sync.Mutex
	seen []admissionv1.AdmissionRequest // guarded by mu
}

// verdict answers one review.
type verdict func(path string, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

func newWorld(t testing.TB, v verdict) *world {
	t.Helper()
	return newRawWorld(t, func(w *world, out http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			t.Errorf("the question is no review: %v", err)
			return
		}
		w.mu.Lock()
		w.seen = append(w.seen, *review.Request)
		w.mu.Unlock()
		answer := v(r.URL.Path, review.Request)
		answer.UID = review.Request.UID
		review.Request, review.Response = nil, answer
		_ = json.NewEncoder(out).Encode(review)
	})
}

func newRawWorld(t testing.TB, answer func(*world, http.ResponseWriter, *http.Request)) *world {
	t.Helper()
	w := &world{Server: apitest.Start(t, nil)}
	w.hooks = httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { answer(w, out, r) }))
	t.Cleanup(w.hooks.Close)
	w.ca = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.hooks.Certificate().Raw}))
	return w
}

func (w *world) requests() []admissionv1.AdmissionRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]admissionv1.AdmissionRequest(nil), w.seen...)
}

// hook is one webhook in JSON; extra are more fields, each with a comma
// in front.
func (w *world) hook(name, path, resources, operations, extra string) string {
	return fmt.Sprintf(`{"name":%q,"clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"None","admissionReviewVersions":["v1"],
		"rules":[{"apiGroups":["*"],"apiVersions":["*"],"resources":[%s],"operations":[%s]}]%s}`,
		name, w.hooks.URL+path, w.ca, resources, operations, extra)
}

// configure makes a configuration of the kind Mutating or Validating.
func (w *world) configure(t testing.TB, kind, name string, hooks ...string) {
	t.Helper()
	body := fmt.Sprintf(`{"metadata":{"name":%q},"webhooks":[%s]}`, name, strings.Join(hooks, ","))
	w.Must(t, http.MethodPost, configurations+strings.ToLower(kind)+"webhookconfigurations", body, http.StatusCreated)
}

// refused expects a refusal and gives its message.
func (w *world) refused(t testing.TB, method, path, body string, code int, headers ...string) string {
	t.Helper()
	out := w.Must(t, method, path, body, code, headers...)
	text, _, _ := unstructured.NestedString(out.Object, "message")
	return text
}

func configMap(name string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"data":{"a":"1"}}`, name)
}

func allow() *admissionv1.AdmissionResponse { return &admissionv1.AdmissionResponse{Allowed: true} }

func patched(patch string) *admissionv1.AdmissionResponse {
	kind := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: &kind}
}

func denied(code int32, message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Code: code, Message: message}}
}

// say answers with bytes as they are.
func say(text string) func(*world, http.ResponseWriter, *http.Request) {
	return func(_ *world, out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, text) }
}
