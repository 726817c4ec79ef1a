package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/name"
)

func TestEndpoints(t *testing.T) {
	c := Config{Hosts: map[string]Host{
		"docker.io": {Mirrors: []string{"mirror:5000", "http://plain:80/", "https://tls"}},
		"corp:443":  {PlainHTTP: true, InsecureSkipVerify: true},
	}}
	for host, want := range map[string][]endpoint{
		"docker.io":      {{host: "mirror:5000", mirror: true}, {host: "plain:80", plainHTTP: true, mirror: true}, {host: "tls", mirror: true}, {host: "docker.io"}},
		"corp:443":       {{host: "corp:443", plainHTTP: true, insecure: true}},
		"quay.io":        {{host: "quay.io"}},
		"localhost:5000": {{host: "localhost:5000", plainHTTP: true}},
		"127.0.0.2:1":    {{host: "127.0.0.2:1", plainHTTP: true}},
		"[::1]:1":        {{host: "[::1]:1", plainHTTP: true}},
		"127.evil.org":   {{host: "127.evil.org"}},
	} {
		if d := cmp.Diff(want, c.endpoints(host), cmp.AllowUnexported(endpoint{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", host, d)
		}
	}
}

// memory is a sink that checks digests as a store does.
type memory struct {
	mu    sync.Mutex
	blobs map[string]int64
}

func (m *memory) Has(digest string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.blobs[digest]
	return ok
}

func (m *memory) Put(r io.Reader, digest string, size int64) error {
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if blobs.Digest(data) != digest || int64(len(data)) != size {
		return fault.New(fault.Invalid, "%w: %s", blobs.ErrDigest, digest)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[digest] = size
	return nil
}

func (m *memory) Resume(digest string, size int64, open func(int64) (io.ReadCloser, int64, error)) error {
	r, _, err := open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	return m.Put(r, digest, size)
}

func (*memory) Begin(string)   {}
func (*memory) Arrived(string) {}

// serve runs a registry behind a middleman.
func serve(t *testing.T, middle func(http.Handler) http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(middle(registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func honest(h http.Handler) http.Handler { return h }

func push(t *testing.T, ref string) v1.Image {
	t.Helper()
	img, err := random.Image(2000, 5)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ggcr.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
	return img
}

func parse(t *testing.T, s string) name.Ref {
	t.Helper()
	r, err := name.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMirrorsComeFirstAndMayFail(t *testing.T) {
	mirror := serve(t, honest)
	img := push(t, mirror+"/library/app:1")
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{Hosts: map[string]Host{"docker.io": {Mirrors: []string{"127.0.0.1:1", mirror}}}})
	sink := &memory{blobs: map[string]int64{}}
	got, err := c.Fetch(t.Context(), parse(t, "app:1"), Auth{Username: "u", Password: "p"}, sink)
	if err != nil || got.Manifest != want.String() || len(sink.blobs) != 7 {
		t.Fatalf("%+v, %v, %d blobs", got, err, len(sink.blobs))
	}
}

// A registry that lies must not get a byte into the store under a wrong name.
func TestLyingRegistry(t *testing.T) {
	host := serve(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				body := bytes.Clone(rec.Body.Bytes())
				if len(body) > 0 {
					body[len(body)/2] ^= 1
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				_, _ = w.Write(body)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	push(t, host+"/app:1")
	sink := &memory{blobs: map[string]int64{}}
	if _, err := New(Config{}).Fetch(t.Context(), parse(t, host+"/app:1"), Auth{}, sink); err == nil || len(sink.blobs) != 0 {
		t.Fatalf("%v, %d blobs", err, len(sink.blobs))
	}
}

func TestFailuresAreClassed(t *testing.T) {
	answer := func(code int, body string) string {
		return serve(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				w.WriteHeader(code)
				fmt.Fprint(w, body)
			})
		})
	}
	for _, tc := range []struct {
		host, words string
		want        fault.Kind
	}{
		{answer(404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"never heard of it"}]}`), "never heard of it", fault.NotFound},
		{answer(404, "gone"), "404", fault.NotFound},
		{answer(403, `{"errors":[{"code":"DENIED","message":"not yours"}]}`), "not yours", fault.Unauthenticated},
		{answer(500, "oops"), "500", fault.Unavailable},
		{"127.0.0.1:1", "connection refused", fault.Unavailable},
	} {
		_, err := New(Config{}).Fetch(t.Context(), parse(t, tc.host+"/app:1"), Auth{}, &memory{blobs: map[string]int64{}})
		if fault.Of(err) != tc.want || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: class %d, %v", tc.words, fault.Of(err), err)
		}
	}
}

func TestCancelledFetchEnds(t *testing.T) {
	host := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := New(Config{}).Fetch(ctx, parse(t, host+"/app:1"), Auth{}, &memory{blobs: map[string]int64{}})
		done <- err
	}()
	cancel()
	if err := <-done; err == nil {
		t.Fatal("a cancelled fetch succeeded")
	}
}
