package kubeletapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/logs"
	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/nodetest"
)

// reviewer is an API server that only answers reviews: user "admin" may do
// everything, "logger" may proxy reads, the one account with a token may read
// metrics, anybody else nothing.
type reviewer struct {
	mu    sync.Mutex
	asked []string
}

func (r *reviewer) Do(_ context.Context, req *request.Request) (runtime.Object, error) {
	if tokens, ok := req.Object.(*authenticationv1.TokenReview); ok {
		return r.whose(tokens.DeepCopy()), nil
	}
	review, ok := req.Object.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return nil, errors.New("only reviews are answered")
	}
	a := review.Spec.ResourceAttributes
	r.mu.Lock()
	r.asked = append(r.asked, review.Spec.User+" "+a.Verb+" "+a.Resource+"/"+a.Subresource+" "+a.Name)
	r.mu.Unlock()
	out := review.DeepCopy()
	out.Status.Allowed = review.Spec.User == "admin" || (review.Spec.User == "logger" && a.Verb == "get" && a.Subresource == "proxy") ||
		review.Spec.User == scraper && review.Spec.UID == "u1" && a.Subresource == "metrics"
	return out, nil
}

const scraper = "system:serviceaccount:monitoring:prometheus"

func (r *reviewer) whose(review *authenticationv1.TokenReview) *authenticationv1.TokenReview {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, "token "+review.Spec.Token)
	if review.Spec.Token == "good" {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: scraper, UID: "u1", Groups: []string{"system:serviceaccounts"}}}
	}
	return review
}

func (r *reviewer) Watch(context.Context, *request.Request) (request.Stream, error) {
	return nil, errors.New("nothing is watched")
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T, name string, groups ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: groups}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestWhoMayCall(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cri.sock")
	fake := nodetest.NewRuntime()
	if err := fake.Serve(socket); err != nil {
		t.Fatal(err)
	}
	defer fake.Stop()
	rt, err := cri.Dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	ca, stranger := newAuthority(t), newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	serving := ca.issue(t, "node")
	review := &reviewer{}
	srv := New(Config{
		NodeName: "n1", Runtime: rt, Metrics: measure.New("n1", "v1.36.0"), Settings: map[string]int{"maxPods": 7}, SystemLogs: systemLogs(t), Client: client.New(review, catalog.New()), ClientCAs: pool, Logger: slog.New(slog.DiscardHandler),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
		EdgeMetrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), Peers: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- srv.Serve(ctx, l) }()
	defer func() { cancel(); <-over }()

	token := ""
	get := func(path string, certs ...tls.Certificate) int {
		hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := hc.Do(req)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		return resp.StatusCode
	}
	admin, logger := ca.issue(t, "admin", "system:masters"), ca.issue(t, "logger")
	cases := []struct {
		name, path string
		certs      []tls.Certificate
		want       int
	}{
		{"nobody", "/healthz", nil, http.StatusUnauthorized},
		{"a stranger's certificate", "/healthz", []tls.Certificate{stranger.issue(t, "admin", "system:masters")}, 0},
		{"who is allowed", "/healthz", []tls.Certificate{admin}, http.StatusOK},
		{"who is allowed the whole node", "/healthz", []tls.Certificate{logger}, http.StatusOK},
		{"who is not allowed statistics", "/stats/summary", []tls.Certificate{logger}, http.StatusForbidden},
		{"what is not there", "/nothing", []tls.Certificate{admin}, http.StatusNotFound},
		{"settings", "/configz", []tls.Certificate{admin}, http.StatusOK},
		{"a file of the machine's logs", "/logs/syslog", []tls.Certificate{admin}, http.StatusOK},
		{"a link out of the machine's logs", "/logs/out", []tls.Certificate{admin}, http.StatusInternalServerError},
		{"the probes' metrics", "/metrics/probes", []tls.Certificate{admin}, http.StatusOK},
		{"the agent's metrics", "/metrics", []tls.Certificate{admin}, http.StatusOK},
		{"the edge's metrics", "/metrics/edge", []tls.Certificate{admin}, http.StatusOK},
		{"another node", PeersPath + "left", []tls.Certificate{ca.issue(t, "system:node:n2", "system:nodes")}, http.StatusOK},
		{"an administrator as a node", PeersPath + "left", []tls.Certificate{admin}, http.StatusForbidden},
		{"a node's name alone", PeersPath + "left", []tls.Certificate{ca.issue(t, "system:node:n2")}, http.StatusForbidden},
		{"nobody as a node", PeersPath + "left", nil, http.StatusUnauthorized},
	}
	for _, tc := range cases {
		if got := get(tc.path, tc.certs...); got != tc.want && !(tc.want == 0 && got == http.StatusUnauthorized) {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	before := len(review.asked)
	if got := get("/healthz", admin); got != http.StatusOK || len(review.asked) != before {
		t.Errorf("an answer was not kept: %d, %v", got, review.asked)
	}
	want := []string{"admin get nodes/healthz n1", "logger get nodes/healthz n1", "logger get nodes/proxy n1", "logger get nodes/stats n1", "admin get nodes/proxy n1",
		"admin get nodes/configz n1", "admin get nodes/log n1", "admin get nodes/metrics n1"}
	if diff := cmp.Diff(want, review.asked); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, tc := range []struct {
		token, path string
		want        int
	}{
		{"good", "/metrics", http.StatusOK}, {"good", "/metrics/probes", http.StatusOK}, {"good", "/pods", http.StatusForbidden}, {"bad", "/metrics", http.StatusUnauthorized},
	} {
		if token = tc.token; get(tc.path) != tc.want {
			t.Errorf("a %s token for %s: not %d", tc.token, tc.path, tc.want)
		}
	}
	if asked := slices.DeleteFunc(slices.Clone(review.asked), func(q string) bool { return !strings.HasPrefix(q, "token ") }); len(asked) != 2 {
		t.Errorf("whose a token is was asked %d times, want once for each", len(asked))
	}
}

// systemLogs is a folder with a log and a link that leads out of it.
func systemLogs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "syslog"), []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBuckets(t *testing.T) {
	for path, want := range map[string]string{"/metrics/cadvisor": "metrics/cadvisor", "/metrics/x": "metrics", "/exec/a/b/c": "exec", "/whatever": "other", "/": "other"} {
		if got, _ := bucket(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestLogOptions(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	cases := []struct {
		query string
		want  logs.Options
		ok    bool
	}{
		{"", logs.Options{Tail: -1}, true},
		{"tailLines=all", logs.Options{Tail: -1}, true},
		{"tailLines=5&follow=true&timestamps=true", logs.Options{Tail: 5, Follow: true, Timestamps: true}, true},
		{"limitBytes=9&stream=Stderr", logs.Options{Tail: -1, Limit: 9, Stream: "stderr"}, true},
		{"sinceSeconds=60", logs.Options{Tail: -1, Since: now.Add(-time.Minute)}, true},
		{"tailLines=-1", logs.Options{}, false},
		{"limitBytes=x", logs.Options{}, false},
		{"sinceTime=yesterday", logs.Options{}, false},
		{"stream=stdin", logs.Options{}, false},
	}
	for _, tc := range cases {
		q, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := logOptions(q, now)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.query, err)
		}
		if tc.ok && got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.query, got, tc.want)
		}
	}
}
