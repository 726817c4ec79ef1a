package configured

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/kubeconfig/kubeconfigtest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const mapped = `
  claimMappings:
    username: {expression: "'corp:' + claims.sub"}
    groups: {claim: roles, prefix: "corp:"}
    uid: {claim: uid}
    extra:
    - {key: corp.example/team, valueExpression: "claims.team"}
  claimValidationRules:
  - {expression: "claims.tenant == 'ours'", message: the token is of another tenant}
  userValidationRules:
  - {expression: "!user.username.startsWith('corp:system:')", message: reserved names are refused}
`

func TestIssuersAndTheirRules(t *testing.T) {
	one, two := newIssuer(t), newIssuer(t)
	i, _ := open(t, head+"jwt:\n"+one.jwt(mapped)+two.jwt("  claimMappings:\n    username: {claim: sub, prefix: 'two:'}\n"))
	claims := func(more map[string]any) map[string]any {
		all := map[string]any{"roles": []string{"dev", "ops"}, "uid": "u1", "team": "red", "tenant": "ours"}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	good := one.token(claims(nil))
	await.Until(t, time.Minute, "both issuers were discovered", func() bool {
		_, first, _ := i.AuthenticateToken(t.Context(), good)
		_, second, _ := i.AuthenticateToken(t.Context(), two.token(nil))
		return first && second
	})
	got, _, _ := i.AuthenticateToken(t.Context(), good)
	want := &user.DefaultInfo{Name: "corp:jane", UID: "u1", Groups: []string{"corp:dev", "corp:ops"}, Extra: map[string][]string{"corp.example/team": {"red"}}}
	if diff := cmp.Diff(want, got.User); diff != "" {
		t.Error(diff)
	}
	if got, _, _ := i.AuthenticateToken(t.Context(), two.token(nil)); got.User.GetName() != "two:jane" {
		t.Errorf("%+v", got.User)
	}
	stranger := newIssuer(t)
	for name, token := range map[string]string{
		"other tenant":   one.token(claims(map[string]any{"tenant": "theirs"})),
		"reserved name":  one.token(claims(map[string]any{"sub": "system:x"})),
		"other audience": one.token(claims(map[string]any{"aud": "other"})),
		"expired":        one.token(claims(map[string]any{"exp": 1})),
		"other issuer":   stranger.token(nil),
		"forged":         stranger.token(map[string]any{"iss": two.URL}),
		"not a token":    "abc",
	} {
		if got, ok, _ := i.AuthenticateToken(t.Context(), token); ok {
			t.Errorf("%s: is %s", name, got.User.GetName())
		}
	}
}

func TestReload(t *testing.T) {
	one, two := newIssuer(t), newIssuer(t)
	simple := "  claimMappings:\n    username: {claim: sub, prefix: ''}\n"
	i, file := open(t, head+"jwt:\n"+one.jwt(simple))
	go func() { _ = i.Run(t.Context()) }()
	known := func(from *issuer) func() bool {
		return func() bool {
			_, ok, _ := i.AuthenticateToken(t.Context(), from.token(map[string]any{"sub": "joe"}))
			return ok
		}
	}
	await.Until(t, time.Minute, "the first issuer", known(one))
	write(t, file, head+"jwt: [{}]\n") // refused, the last stays in use
	write(t, file, head+"jwt:\n"+two.jwt(simple)+"anonymous: {enabled: true, conditions: [{path: /livez}]}\n")
	await.Until(t, time.Minute, "the second issuer", known(two))
	if _, ok, _ := i.AuthenticateToken(t.Context(), one.token(nil)); ok {
		t.Error("the first issuer is still trusted")
	}
	if !i.Anonymous("/livez") || i.Anonymous("/version") {
		t.Error("anonymous access does not follow the configuration")
	}
}

func TestBadConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	for name, text := range map[string]string{
		"unknown field": head + "jwts: []\n",
		"other kind":    "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: []\n",
		"our issuer":    head + "jwt: [{issuer: {url: 'https://kubernetes.default.svc.cluster.local', audiences: [a]}, claimMappings: {username: {claim: sub, prefix: ''}}}]\n",
		"plain issuer":  head + "jwt: [{issuer: {url: 'http://a', audiences: [a]}, claimMappings: {username: {claim: sub, prefix: ''}}}]\n",
		"bad CEL":       head + "jwt: [{issuer: {url: 'https://a', audiences: [a]}, claimMappings: {username: {expression: 'claims.'}}}]\n",
		"bad CA":        head + "jwt: [{issuer: {url: 'https://a', audiences: [a], certificateAuthority: x}, claimMappings: {username: {claim: sub, prefix: ''}}}]\n",
		"empty":         "",
	} {
		write(t, file, text)
		if i, err := OpenIssuers(t.Context(), Options{File: file, OwnIssuers: []string{"https://kubernetes.default.svc.cluster.local"}}); err == nil {
			i.Close()
			t.Errorf("%s: was taken", name)
		}
	}
}

func TestWebhook(t *testing.T) {
	var asked atomic.Int32
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		if review.Spec.Token == "good" {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "jane", Groups: []string{"dev"}}}
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer hook.Close()
	a, err := NewWebhook(WebhookOptions{ConfigFile: kubeconfigtest.File(t, hook), Audiences: authenticator.Audiences{"api"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, ok, err := a.AuthenticateToken(t.Context(), "good")
		if err != nil || !ok || got.User.GetName() != "jane" {
			t.Fatal(got, ok, err)
		}
	}
	if _, ok, _ := a.AuthenticateToken(t.Context(), "bad"); ok {
		t.Error("a token that the webhook does not know was taken")
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the webhook was asked %d times, want 2", n)
	}
}
