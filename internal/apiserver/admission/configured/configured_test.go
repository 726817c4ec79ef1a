package configured_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/configured"
	"github.com/knarr-io/knarr/internal/apiserver/admission/webhook"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// judge allows everything and keeps who asked, by path.
type judge struct {
	*httptest.Server
	mu      sync.Mutex
	callers map[string]string // guarded by mu
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	j := &judge{callers: map[string]string{}}
	j.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := r.Header.Get("Authorization")
		for _, c := range r.TLS.PeerCertificates {
			caller += c.Subject.CommonName
		}
		j.mu.Lock()
		j.callers[r.URL.Path] = caller
		j.mu.Unlock()
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		_ = json.NewEncoder(w).Encode(review)
	}))
	j.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	j.StartTLS()
	t.Cleanup(j.Close)
	return j
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func kubeconfig(users string) string {
	return "apiVersion: v1\nkind: Config\nusers:\n" + users
}

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"

// plugin is one entry of a configuration.
func plugin(name, kubeconfig string) string {
	return fmt.Sprintf("- name: %s\n  configuration:\n    apiVersion: apiserver.config.k8s.io/v1\n    kind: WebhookAdmissionConfiguration\n    kubeConfigFile: %s\n", name, kubeconfig)
}

// serve runs a server that calls webhooks as a file says.
func serve(t *testing.T, file string) *apitest.Server {
	t.Helper()
	credentials, err := configured.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return apitest.Start(t, func(c *apiserver.Config) {
		client, err := outbound.New(outbound.Config{Kinds: c.Catalog, Objects: c.Cache})
		if err != nil {
			t.Fatal(err)
		}
		hooks, err := webhook.New(webhook.Config{Kinds: c.Catalog, Objects: c.Cache, Client: client, Credentials: credentials})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(hooks.Close)
		c.Admission = admission.Chain{hooks.Mutating(), hooks.Validating()}
	})
}

func (j *judge) configure(t *testing.T, s *apitest.Server, kind, path string) {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: j.Certificate().Raw}))
	body := fmt.Sprintf(`{"metadata":{"name":%q},"webhooks":[{"name":"a.example.com","clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"None",
		"admissionReviewVersions":["v1"],"rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"],"operations":["CREATE"]}]}]}`,
		strings.Trim(path, "/"), j.URL+path, ca)
	code, _, answer := s.Do(t, http.MethodPost, "/apis/admissionregistration.k8s.io/v1/"+kind+"webhookconfigurations", body, "Content-Type", "application/json")
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, answer)
	}
}

// Each kind of webhooks is told of the server by its own kubeconfig, each
// server by the user that bears its name.
func TestWebhooksKnowWhoCalls(t *testing.T) {
	folder := t.TempDir()
	named, other := newJudge(t), newJudge(t)
	authority, err := pki.Open(pki.Options{Dir: filepath.Join(folder, "pki"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := authority.Certificates(pki.ClientOrder("caller", "the-server"))
	if err != nil {
		t.Fatal(err)
	}
	cert, key := certificates[0].PEM()
	mutating := write(t, filepath.Join(folder, "mutating"), kubeconfig(fmt.Sprintf("- {name: %q, user: {token: by-port}}\n- {name: '*', user: {username: u, password: p}}\n",
		named.Listener.Addr())))
	validating := write(t, filepath.Join(folder, "validating"), kubeconfig(fmt.Sprintf("- {name: '*.0.0.1:%s', user: {client-certificate: %s, client-key: %s}}\n",
		strings.TrimPrefix(named.Listener.Addr().String(), "127.0.0.1:"), write(t, filepath.Join(folder, "cert"), string(cert)), write(t, filepath.Join(folder, "key"), string(key)))))
	write(t, filepath.Join(folder, "validating.yaml"),
		"apiVersion: apiserver.config.k8s.io/v1\nkind: WebhookAdmissionConfiguration\nkubeConfigFile: "+validating+"\n")
	s := serve(t, write(t, filepath.Join(folder, "admission.yaml"),
		head+plugin("MutatingAdmissionWebhook", mutating)+"- {name: ValidatingAdmissionWebhook, path: validating.yaml}\n"))
	for _, kind := range []string{"mutating", "validating"} {
		named.configure(t, s, kind, "/"+kind)
		other.configure(t, s, kind, "/other-"+kind)
	}
	if code, _, body := s.Do(t, http.MethodPost, "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`, "Content-Type", "application/json"); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	want := map[string]string{"/mutating": "Bearer by-port", "/validating": "the-server"}
	if diff := cmp.Diff(want, named.callers); diff != "" {
		t.Error(diff)
	}
	want = map[string]string{"/other-mutating": "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p")), "/other-validating": ""}
	if diff := cmp.Diff(want, other.callers); diff != "" {
		t.Error(diff)
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	folder := t.TempDir()
	empty := write(t, filepath.Join(folder, "kubeconfig"), kubeconfig(""))
	for name, c := range map[string]struct{ text, want string }{
		"another kind":       {"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n", "want an AdmissionConfiguration"},
		"unknown field":      {head + "- {name: MutatingAdmissionWebhook, file: a}\n", "unknown field"},
		"unknown plugin":     {head + "- {name: PodSecurity}\n", `plugin "PodSecurity" takes no configuration`},
		"twice":              {head + plugin("MutatingAdmissionWebhook", empty) + plugin("MutatingAdmissionWebhook", empty), "has one already"},
		"no kubeconfig":      {head + plugin("MutatingAdmissionWebhook", filepath.Join(folder, "missing")), "no such file"},
		"relative":           {head + plugin("ValidatingAdmissionWebhook", "kubeconfig"), "must be an absolute file path"},
		"no such other file": {head + "- {name: ValidatingAdmissionWebhook, path: missing}\n", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := configured.Read(write(t, filepath.Join(folder, "admission.yaml"), c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
	if got, err := configured.Read(""); err != nil || got.Mutating != nil || got.Validating != nil {
		t.Errorf("no file gives %v, %v", got, err)
	}
}
