package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// serveLayout serves a layout with one image, registry.example/e2e/app:1.
func serveLayout(t *testing.T) (host string, image v1.Image) {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = random.Image(1000, 3); err != nil {
		t.Fatal(err)
	}
	err = path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "registry.example/e2e/app:1"}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRegistry(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), image
}

func TestPullsByTagAndDigest(t *testing.T) {
	host, image := serveLayout(t)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{host + "/e2e/app:1", host + "/e2e/app@" + digest.String()} {
		ref, err := name.ParseReference(reference)
		if err != nil {
			t.Fatal(err)
		}
		pulled, err := remote.Image(ref)
		if err != nil {
			t.Fatalf("%s: %v", reference, err)
		}
		if err := validate.Image(pulled); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
		if got, err := pulled.Digest(); err != nil || got != digest {
			t.Errorf("%s: digest %s, %v; want %s", reference, got, err, digest)
		}
	}
}

func TestRefusesWhatItHasNot(t *testing.T) {
	host, _ := serveLayout(t)
	for path, want := range map[string]int{
		"/v2/":                      http.StatusOK,
		"/v2/e2e/app/manifests/2":   http.StatusNotFound,
		"/v2/e2e/other/manifests/1": http.StatusNotFound,
		"/v2/e2e/app/blobs/sha256:../../index.json":           http.StatusNotFound,
		"/v2/e2e/app/blobs/sha256:" + strings.Repeat("0", 64): http.StatusNotFound,
		"/index.json": http.StatusNotFound,
	} {
		res, err := http.Get("http://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, res.StatusCode, want)
		}
	}
	res, err := http.Post("http://"+host+"/v2/e2e/app/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.StatusCode)
	}
}
