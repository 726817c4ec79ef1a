package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

type world struct {
	*authtest.World
	*Authority
	key *ecdsa.PrivateKey
}

func newWorld(t testing.TB) *world {
	t.Helper()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	w := authtest.New(t,
		&corev1.ServiceAccount{ObjectMeta: meta("bot")}, &corev1.ServiceAccount{ObjectMeta: meta("other")},
		&corev1.Pod{ObjectMeta: meta("p"), Spec: corev1.PodSpec{ServiceAccountName: "bot", NodeName: "n1"}},
		&corev1.Secret{ObjectMeta: meta("s")}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}},
	)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{Issuer: issuer, Key: key, Kinds: w.Kinds, Objects: w.Objects})
	if err != nil {
		t.Fatal(err)
	}
	return &world{w, a, key}
}

// request asks for a token of ns/bot.
func (w *world) request(t testing.TB, spec authenticationv1.TokenRequestSpec) (*authenticationv1.TokenRequest, error) {
	t.Helper()
	out, err := w.TokenRequest(context.Background(), endpoint.Action{Request: &request.Request{
		Namespace: "ns", Name: "bot", Object: &authenticationv1.TokenRequest{Spec: spec},
	}})
	if err != nil {
		return nil, err
	}
	return out.(*authenticationv1.TokenRequest), nil
}

func (w *world) token(t testing.TB, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	out, err := w.request(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	return out.Status.Token
}

func claimsOf(t *testing.T, token string) *Claims {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	c := &Claims{}
	if err := parsed.UnsafeClaimsWithoutVerification(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func bound(kind, name string) *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}
}

func TestIssuedTokenIsVerified(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, authenticationv1.TokenRequestSpec{BoundObjectRef: bound("Pod", "p")})
	for range 2 { // the second time from memory
		response, ok, err := w.AuthenticateToken(t.Context(), token)
		if err != nil || !ok {
			t.Fatalf("%v %v", ok, err)
		}
		if got := response.User.GetName(); got != "system:serviceaccount:ns:bot" {
			t.Errorf("user %s", got)
		}
		if diff := cmp.Diff([]string{"system:serviceaccounts", "system:serviceaccounts:ns"}, response.User.GetGroups()); diff != "" {
			t.Error(diff)
		}
		extra := response.User.GetExtra()
		if extra["authentication.kubernetes.io/pod-name"][0] != "p" || extra["authentication.kubernetes.io/node-name"][0] != "n1" ||
			!strings.HasPrefix(extra["authentication.kubernetes.io/credential-id"][0], "JTI=") {
			t.Errorf("extra %v", extra)
		}
		if diff := cmp.Diff(authenticator.Audiences{issuer}, response.Audiences); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRequestRules(t *testing.T) {
	w := newWorld(t)
	seconds := func(n int64) *int64 { return &n }
	wrongUID := bound("Pod", "p")
	wrongUID.UID = "gone"
	for name, c := range map[string]struct {
		spec authenticationv1.TokenRequestSpec
		want string
		is   func(error) bool
	}{
		"too short":       {authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(599)}, `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`, apierrors.IsInvalid},
		"too long":        {authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(1<<32 + 1)}, "may not specify a duration larger than 2^32 seconds", apierrors.IsInvalid},
		"no pod":          {authenticationv1.TokenRequestSpec{BoundObjectRef: bound("Pod", "none")}, `pods "none" not found`, apierrors.IsNotFound},
		"no secret":       {authenticationv1.TokenRequestSpec{BoundObjectRef: bound("Secret", "none")}, `secrets "none" not found`, apierrors.IsNotFound},
		"another pod now": {authenticationv1.TokenRequestSpec{BoundObjectRef: wrongUID}, `fulfilled on Pod "p": the UID in the bound object reference (gone)`, apierrors.IsConflict},
		"another kind":    {authenticationv1.TokenRequestSpec{BoundObjectRef: bound("ConfigMap", "x")}, `cannot bind token to object of type /v1, Kind=ConfigMap`, apierrors.IsBadRequest},
	} {
		_, err := w.request(t, c.spec)
		if err == nil || !c.is(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	item, _ := w.pods.Get("ns", "p")
	w.Update(item, func(o api.Object) { o.(*corev1.Pod).Spec.ServiceAccountName = "other" })
	if _, err := w.request(t, authenticationv1.TokenRequestSpec{BoundObjectRef: bound("Pod", "p")}); err == nil || !strings.Contains(err.Error(), "different serviceaccount name") {
		t.Errorf("pod of another account: %v", err)
	}
}

func TestWhatARequestSaysOfItself(t *testing.T) {
	w := newWorld(t)
	bot, _ := w.accounts.Get("ns", "bot")
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		want string // empty: it is answered
	}{
		"nothing":           {metav1.ObjectMeta{}, ""},
		"all":               {metav1.ObjectMeta{Namespace: "ns", Name: "bot", UID: bot.Object.GetUID()}, ""},
		"another name":      {metav1.ObjectMeta{Name: "other"}, `TokenRequest.authentication.k8s.io "bot" is invalid: metadata.name: Invalid value: "other": must match the service account name if specified`},
		"another namespace": {metav1.ObjectMeta{Namespace: "other"}, "the namespace of the provided object does not match the namespace sent on the request"},
		"a former account": {metav1.ObjectMeta{UID: "former"}, `Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "bot": the UID in the token request (former) ` +
			"does not match the UID of the service account (" + string(bot.Object.GetUID()) + ")"},
	} {
		out, err := w.TokenRequest(t.Context(), endpoint.Action{Request: &request.Request{
			Namespace: "ns", Name: "bot", Object: &authenticationv1.TokenRequest{ObjectMeta: c.meta},
		}})
		if got := fmt.Sprint(err); c.want != "" && got != c.want || c.want == "" && err != nil {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if err == nil && out.(*authenticationv1.TokenRequest).UID != bot.Object.GetUID() {
			t.Errorf("%s: the answer is of uid %q", name, out.(*authenticationv1.TokenRequest).UID)
		}
	}
}

func TestLifetimes(t *testing.T) {
	w := newWorld(t)
	seconds := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		spec authenticationv1.TokenRequestSpec
		life time.Duration
		warn bool
	}{
		"default":                        {authenticationv1.TokenRequestSpec{}, time.Hour, false},
		"asked for":                      {authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(7200)}, 2 * time.Hour, false},
		"a pod's":                        {authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(3607), BoundObjectRef: bound("Pod", "p")}, 365 * 24 * time.Hour, true},
		"a pod's for somebody else":      {authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(3607), BoundObjectRef: bound("Pod", "p"), Audiences: []string{"vault"}}, 3607 * time.Second, false},
		"the same without being a pod's": {authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(3607)}, 3607 * time.Second, false},
	} {
		out, err := w.request(t, c.spec)
		if err != nil {
			t.Fatal(err)
		}
		claims := claimsOf(t, out.Status.Token)
		if got := claims.Expiry.Time().Sub(claims.IssuedAt.Time()); got != c.life {
			t.Errorf("%s: lives %s", name, got)
		}
		if (claims.Kubernetes.WarnAfter != nil) != c.warn {
			t.Errorf("%s: warnafter %v", name, claims.Kubernetes.WarnAfter)
		}
		told := out.Status.ExpirationTimestamp.Sub(claims.IssuedAt.Time())
		if want := time.Duration(*out.Spec.ExpirationSeconds) * time.Second; told < want-time.Second || told > want+time.Second {
			t.Errorf("%s: told %s", name, told)
		}
	}
}

func TestTokenEndsWithItsObjects(t *testing.T) {
	for _, kind := range []string{"Pod", "Secret", "Node", "ServiceAccount", "recreated"} {
		w := newWorld(t)
		objects := map[string]struct {
			ref  *authenticationv1.BoundObjectReference
			find func() (namespace, name string)
		}{
			"Pod":            {bound("Pod", "p"), func() (string, string) { return "ns", "p" }},
			"Secret":         {bound("Secret", "s"), func() (string, string) { return "ns", "s" }},
			"Node":           {bound("Node", "n1"), func() (string, string) { return "", "n1" }},
			"ServiceAccount": {nil, func() (string, string) { return "ns", "bot" }},
			"recreated":      {bound("Pod", "p"), func() (string, string) { return "ns", "p" }},
		}
		resource := map[string]api.Object{"Pod": &corev1.Pod{}, "Secret": &corev1.Secret{}, "Node": &corev1.Node{}, "ServiceAccount": &corev1.ServiceAccount{}, "recreated": &corev1.Pod{}}[kind]
		token := w.token(t, authenticationv1.TokenRequestSpec{BoundObjectRef: objects[kind].ref})
		if _, ok, err := w.AuthenticateToken(t.Context(), token); !ok {
			t.Fatalf("%s: %v", kind, err)
		}
		item, _ := w.Resource(resource).Get(objects[kind].find())
		w.Delete(item)
		if kind == "recreated" {
			w.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}})
		}
		if _, ok, err := w.AuthenticateToken(t.Context(), token); ok || err == nil {
			t.Errorf("%s: still good after it was deleted", kind)
		}
	}
}

func TestTokenOutlivesADeletionThatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, authenticationv1.TokenRequestSpec{BoundObjectRef: bound("Pod", "p")})
	item, _ := w.pods.Get("ns", "p")
	for _, c := range []struct {
		ago  time.Duration
		good bool
	}{{-30 * time.Second, true}, {30 * time.Second, true}, {2 * time.Minute, false}} {
		item = w.Update(item, func(o api.Object) {
			when := metav1.NewTime(time.Now().Add(-c.ago))
			o.SetDeletionTimestamp(&when)
		})
		if _, ok, err := w.AuthenticateToken(t.Context(), token); ok != c.good {
			t.Errorf("deleted %s ago: %v %v", c.ago, ok, err)
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	w := newWorld(t)
	good := w.token(t, authenticationv1.TokenRequestSpec{})
	item, _ := w.accounts.Get("ns", "bot")
	claims := func(change func(*Claims)) *Claims {
		c := claimsOf(t, good)
		if c.Kubernetes.ServiceAccount.UID != string(item.Object.GetUID()) {
			t.Fatal("uid is not in the token")
		}
		change(c)
		return c
	}
	signed := func(change func(*Claims)) string {
		token, err := w.sign(claims(change))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token string
		ours  bool // an error; otherwise no opinion
	}{
		"expired": {signed(func(c *Claims) {
			dates(&c.Claims, time.Now().Add(-2*time.Hour), time.Hour)
		}), true},
		"not yet": {signed(func(c *Claims) {
			dates(&c.Claims, time.Now().Add(time.Hour), time.Hour)
		}), true},
		"another subject":  {signed(func(c *Claims) { c.Subject = "system:serviceaccount:ns:other" }), true},
		"another uid":      {signed(func(c *Claims) { c.Kubernetes.ServiceAccount.UID = "x" }), true},
		"another audience": {signed(func(c *Claims) { c.Audience = jwt.Audience{"vault"} }), true},
		"another issuer":   {signed(func(c *Claims) { c.Issuer = "https://else" }), false},
		"tampered":         {parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-6] + "AAAAAA", true},
		"unsigned":         {"eyJhbGciOiJub25lIn0." + parts[1] + ".", true},
		"garbage":          {"not-a-token", false},
		"empty":            {"", false},
		"huge":             {strings.Repeat("a", limits.BearerToken+1), false},
	} {
		response, ok, err := w.AuthenticateToken(t.Context(), c.token)
		if ok || response != nil || (err != nil) != c.ours {
			t.Errorf("%s: %v %v %v", name, response, ok, err)
		}
	}
}

func TestAudiencesAskedFor(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, authenticationv1.TokenRequestSpec{Audiences: []string{"vault", "db"}})
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"db", "x"})
	response, ok, err := w.AuthenticateToken(ctx, token)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff(authenticator.Audiences{"db"}, response.Audiences); diff != "" {
		t.Error(diff)
	}
}

func TestDiscoveryVerifiesTokens(t *testing.T) {
	w := newWorld(t)
	keys, err := w.Keys()
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	keys.ServeHTTP(answer, httptest.NewRequest("GET", KeysPath, nil))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(answer.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(answer.Body.String(), `"d"`) {
		t.Fatal("the private key is served")
	}
	token, err := jwt.ParseSigned(w.token(t, authenticationv1.TokenRequestSpec{}), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	found := set.Key(token.Headers[0].KeyID)
	if len(found) != 1 || token.Claims(found[0], &Claims{}) != nil {
		t.Error("the served key does not verify a token")
	}
	configuration, err := w.Configuration("https://192.0.2.7:6443" + KeysPath)
	if err != nil {
		t.Fatal(err)
	}
	answer = httptest.NewRecorder()
	configuration.ServeHTTP(answer, httptest.NewRequest("GET", ConfigurationPath, nil))
	want := `{"issuer":"` + issuer + `","jwks_uri":"https://192.0.2.7:6443/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}`
	if diff := cmp.Diff(want, answer.Body.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	v := newVerified()
	now := time.Now()
	for i := range 3 * rememberMost {
		v.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, &Claims{}, now)
	}
	if n := len(v.now) + len(v.old); n > rememberMost {
		t.Errorf("%d are remembered", n)
	}
}

func FuzzAuthenticateToken(f *testing.F) {
	w := newWorld(f)
	f.Add(w.token(f, authenticationv1.TokenRequestSpec{}))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMuY2x1c3Rlci5sb2NhbCJ9.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		response, ok, _ := w.AuthenticateToken(context.Background(), token)
		if ok && response.User.GetName() != "system:serviceaccount:ns:bot" {
			t.Fatalf("authenticated as %v", response.User)
		}
	})
}

func BenchmarkAuthenticateToken(b *testing.B) {
	w := newWorld(b)
	token := w.token(b, authenticationv1.TokenRequestSpec{})
	var who user.Info
	for b.Loop() {
		response, ok, err := w.AuthenticateToken(context.Background(), token)
		if !ok {
			b.Fatal(err)
		}
		who = response.User
	}
	_ = who
}
