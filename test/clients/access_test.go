package clients

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/knarrtest"
)

// others are servers of other people that the API server asks about users.
type others struct {
	*httptest.Server
	key *ecdsa.PrivateKey // of the issuer
}

// newOthers is an OIDC issuer at /, a judge of tokens at /tokens, which knows
// the token "opaque" only, and a judge of rights at /rights, which lets jane
// list ConfigMaps.
func newOthers(t *testing.T) *others {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &others{key: key}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": o.URL, "jwks_uri": o.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		public, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{"keys": []map[string]string{{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k", "x": raw64(public[1:33]), "y": raw64(public[33:])}}})
	})
	mux.HandleFunc("/tokens", func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if review.Spec.Token == "opaque" {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "stranger", Groups: []string{"guests"}}}
		}
		answer(w, review)
	})
	mux.HandleFunc("/rights", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = a != nil && review.Spec.User == "corp:jane" && a.Resource == "configmaps" && a.Verb == "list"
		answer(w, review)
	})
	o.Server = httptest.NewTLSServer(mux)
	t.Cleanup(o.Close)
	return o
}

func raw64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (o *others) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate().Raw})
}

// token is one of the issuer's (RFC 7519, ES256).
func (o *others) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": o.URL, "aud": "knarr", "exp": time.Now().Add(time.Hour).Unix(), "tenant": "ours"}
	for k, v := range claims {
		all[k] = v
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	text := raw64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + raw64(body)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, o.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + raw64(signature)
}

// issuer is the entry of an AuthenticationConfiguration.
func (o *others) issuer() string {
	return fmt.Sprintf(`- issuer: {url: %q, audiences: [knarr], certificateAuthority: %q}
  claimMappings:
    username: {expression: "'corp:' + claims.sub"}
    groups: {claim: roles, prefix: "corp:"}
  claimValidationRules: [{expression: "claims.tenant == 'ours'", message: the token is of another tenant}]
`, o.URL, o.ca())
}

// kubeconfig leads to one of the judges.
func (o *others) kubeconfig(path string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a}]\n"+
		"clusters: [{name: a, cluster: {server: %q, certificate-authority-data: %s}}]\n", o.URL+path, base64.StdEncoding.EncodeToString(o.ca()))
}

// file writes one of a folder, as a whole.
func file(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// as is a client with a token and nothing else.
func as(t *testing.T, server *knarrtest.Server, token string) *kubernetes.Clientset {
	t.Helper()
	admin, err := clientcmd.RESTConfigFromKubeConfig(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = token
	return kubernetes.NewForConfigOrDie(config)
}

const (
	authentication = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {enabled: true, conditions: [{path: /readyz}]}\njwt:\n"
	authorization  = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: RBAC, name: rbac}
- type: Webhook
  name: judge
  webhook:
    timeout: 10s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
`
	auditing = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata, resources: [{group: '', resources: [configmaps]}]}]\n"
)

// Who may enter, what they may do and what is kept of it is as the files say
// that the server was started with, and as they are changed to.
func TestAccessByFiles(t *testing.T) {
	one, two, folder := newOthers(t), newOthers(t), t.TempDir()
	issuers := file(t, folder, "authentication.yaml", authentication+one.issuer())
	log := filepath.Join(folder, "audit.log")
	server := knarrtest.Run(t, knarrtest.Options{Flags: []string{
		"--authentication-config=" + issuers, "--authentication-token-webhook-config-file=" + file(t, folder, "tokens.yaml", one.kubeconfig("/tokens")),
		"--authorization-config=" + file(t, folder, "authorization.yaml", fmt.Sprintf(authorization, file(t, folder, "rights.yaml", one.kubeconfig("/rights")))),
		"--audit-policy-file=" + file(t, folder, "audit.yaml", auditing), "--audit-log-path=" + log,
	}})
	who := func(token string) (string, error) {
		self, err := as(t, server, token).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		return self.Status.UserInfo.Username + " of " + strings.Join(self.Status.UserInfo.Groups, ", "), nil
	}
	knows := func(token, user string) {
		t.Helper()
		await(t, "user "+user, func(context.Context) error {
			got, err := who(token)
			if err == nil && got != user {
				err = fmt.Errorf("the token is that of %s", got)
			}
			return err
		})
	}
	jane := one.token(t, map[string]any{"sub": "jane", "roles": []string{"dev"}})
	knows(jane, "corp:jane of corp:dev, system:authenticated")
	knows("opaque", "stranger of guests, system:authenticated")
	for name, token := range map[string]string{
		"another tenant": one.token(t, map[string]any{"sub": "jane", "tenant": "theirs"}), "another issuer": two.token(t, map[string]any{"sub": "jane"}), "nobody": "",
	} {
		if user, err := who(token); err == nil {
			t.Errorf("%s enters as %s", name, user)
		}
	}

	maps := func(token string) error {
		_, err := as(t, server, token).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := maps(jane); err != nil {
		t.Errorf("whom the judge lets: %v", err)
	}
	if maps("opaque") == nil || maps(one.token(t, map[string]any{"sub": "joe"})) == nil {
		t.Error("the judge lets others")
	}
	await(t, "record of who asked", func(context.Context) error {
		text, err := os.ReadFile(log)
		if err == nil && (!bytes.Contains(text, []byte(`"username":"corp:jane"`)) || !bytes.Contains(text, []byte(`"authorization.k8s.io/decision":"forbid"`))) {
			err = fmt.Errorf("it tells %s", text)
		}
		return err
	})

	file(t, folder, "authentication.yaml", authentication+two.issuer())
	knows(two.token(t, map[string]any{"sub": "jim"}), "corp:jim of system:authenticated")
	if user, err := who(one.token(t, map[string]any{"sub": "joan"})); err == nil {
		t.Errorf("an issuer that was taken away lets %s in", user)
	}
}
