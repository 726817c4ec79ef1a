// Package apitest runs the real API server in a test's process: the real
// cache on the disk engine in memory, the built-in catalogue, schemas,
// admission and allocation. Only who asks is simple: bearer tokens name their
// user ("name" or "name,group,group").
//
// Everything ends with the test, which fails where an object of the cache was
// changed after it was shared.
package apitest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/builtin"
	"github.com/knarr-io/knarr/internal/apiserver/admission/policy"
	"github.com/knarr-io/knarr/internal/apiserver/admission/webhook"
	"github.com/knarr-io/knarr/internal/apiserver/allocate"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/apiserver/permit"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// Token is a bearer token that may do everything.
const Token = "admin,system:masters"

// Server is a running API server.
type Server struct {
	*apiserver.Server
	Catalog   *catalog.Catalog
	Cache     *cache.Cache
	Store     store.Store // below the cache
	documents *openapi.Documents
	discovery *discovery.Handler

	// URL is where it listens, in the clear, on loopback.
	URL string
}

// Start runs a server for the length of a test, with the namespace default and
// its service account. change may change the configuration; it may be nil.
func Start(t testing.TB, change func(*apiserver.Config)) *Server {
	t.Helper()
	ctx := context.Background()
	kinds := catalog.New()
	engine, err := disk.Open(ctx, disk.Options{Dir: "/", InMemory: true})
	check(t, err)
	objects, err := cache.Open(ctx, engine, kinds.Kinds(), cache.Options{
		Mutated: func(key string) { t.Errorf("%s was changed after it was shared", key) },
	})
	check(t, err)
	t.Cleanup(func() {
		objects.Close()
		_ = engine.Close()
	})
	docs, err := openapi.New()
	check(t, err)
	s := &Server{Catalog: kinds, Cache: objects, Store: engine}
	config := s.config(t, docs)
	if change != nil {
		change(&config)
	}
	s.Server, err = apiserver.New(config)
	check(t, err)
	s.seed(t)
	s.serve(t)
	return s
}

func (s *Server) config(t testing.TB, docs *openapi.Documents) apiserver.Config {
	allocation, err := allocate.New(allocate.Config{
		Network: netip.MustParsePrefix("10.96.0.0/16"), FirstPort: 30000, LastPort: 32767,
	}, allocate.StoredIn(s.Cache, s.Catalog))
	check(t, err)
	handlers := map[string]http.Handler{"/openapi/": docs}
	found := discovery.New(s.Catalog, "127.0.0.1:6443")
	for _, path := range append(found.Paths(), "/apis/") {
		handlers[path] = found
	}
	s.documents, s.discovery = docs, found
	return apiserver.Config{
		Catalog: s.Catalog, Cache: s.Cache, Types: docs, Handlers: handlers,
		Authenticator: bearertoken.New(authenticator.TokenFunc(users)), Authorizer: authorizer.AuthorizerFunc(masters),
		Admission: builtin.Chain(builtin.Config{Catalog: s.Catalog, Cache: s.Cache, Others: s.others(t, docs)}),
		Hooks: map[*api.Kind]verb.Hook{
			s.Catalog.TypeOf(&corev1.Service{}): allocation, s.Catalog.TypeOf(&networkingv1.IPAddress{}): allocation.Records(),
		},
		Permits: permit.Checks(permit.Config{Kinds: s.Catalog, Objects: s.Cache, Authorizer: authorizer.AuthorizerFunc(masters)}),
		Version: version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.0"},
	}
}

// others are the admission plugins that ask what the test configures.
func (s *Server) others(t testing.TB, docs *openapi.Documents) admission.Chain {
	client, err := outbound.New(outbound.Config{Kinds: s.Catalog, Objects: s.Cache})
	check(t, err)
	authz := authorizer.AuthorizerFunc(masters)
	policies, err := policy.New(policy.Config{Kinds: s.Catalog, Objects: s.Cache, Authorizer: authz, Types: docs})
	check(t, err)
	hooks, err := webhook.New(webhook.Config{Kinds: s.Catalog, Objects: s.Cache, Client: client, Authorizer: authz})
	check(t, err)
	t.Cleanup(hooks.Close)
	return admission.Chain{policies.Mutating(), hooks.Mutating(), policies.Validating(), hooks.Validating()}
}

// users takes a token for the name and groups that it lists.
func users(_ context.Context, token string) (*authenticator.Response, bool, error) {
	parts := strings.Split(token, ",")
	return &authenticator.Response{User: &user.DefaultInfo{Name: parts[0], Groups: parts[1:]}}, true, nil
}

// masters allows the members of system:masters everything and others nothing.
func masters(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, g := range a.GetUser().GetGroups() {
		if g == user.SystemPrivilegedGroup {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (s *Server) seed(t testing.TB) {
	for _, obj := range []api.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "default"}},
	} {
		_, err := s.Cache.Of(s.Catalog.TypeOf(obj)).Create(context.Background(), obj)
		check(t, err)
	}
}

func (s *Server) serve(t testing.TB) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s.URL = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln, (*tls.Config)(nil)) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the server ended with: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the server did not end")
		}
	})
}

// Do sends a request as the all-powerful user and reads the whole answer.
// headers are names and values in turn.
func (s *Server) Do(t testing.TB, method, path, body string, headers ...string) (int, http.Header, []byte) {
	t.Helper()
	resp := s.Open(t, method, path, body, headers...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, resp.Header, data
}

// Must sends a JSON body as Do does, wants the status, and gives the object that
// the answer holds.
func (s *Server) Must(t testing.TB, method, path, body string, want int, headers ...string) *unstructured.Unstructured {
	t.Helper()
	code, _, answer := s.Do(t, method, path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
	if code != want {
		t.Fatalf("%s %s is %d, want %d: %s", method, path, code, want, answer)
	}
	out := &unstructured.Unstructured{}
	check(t, json.Unmarshal(answer, &out.Object))
	return out
}

// AwaitServed waits until a custom resource can be listed at the path.
func (s *Server) AwaitServed(t testing.TB, path string) {
	t.Helper()
	await.Until(t, time.Minute, path+" is served", func() bool {
		code, _, _ := s.Do(t, http.MethodGet, path, "")
		return code == http.StatusOK
	})
}

// Open sends a request and leaves the answer's body to be read.
func (s *Server) Open(t testing.TB, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+Token)
	req.Header.Set("User-Agent", "test/1")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	return resp
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
