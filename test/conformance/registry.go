package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// registry answers pulls of what an OCI image layout holds; it takes nothing.
// See the OCI distribution specification, section "Pull".
type registry struct {
	path      layout.Path
	manifests map[string]v1.Descriptor // by repository:tag and repository@digest
}

// openRegistry reads the layout's index. References lose their host: the
// registry stands for each that it is a mirror of.
func openRegistry(dir string) (*registry, error) {
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("open the images: %w", err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	r := &registry{path: path, manifests: map[string]v1.Descriptor{}}
	for _, m := range manifest.Manifests {
		_, reference, _ := strings.Cut(m.Annotations["org.opencontainers.image.ref.name"], "/")
		repository, _, tagged := strings.Cut(reference, ":")
		if !tagged {
			return nil, fmt.Errorf("the layout %s has an image without a tag: %q", dir, reference)
		}
		r.manifests[reference] = m
		r.manifests[repository+"@"+m.Digest.String()] = m
	}
	return r, nil
}

// serve answers on l until it is closed.
func (r *registry) serve(l net.Listener) error {
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
	case req.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	case strings.Contains(path, "/manifests/"):
		repository, reference, _ := strings.Cut(path, "/manifests/")
		r.manifest(w, req, repository, reference)
	case strings.Contains(path, "/blobs/"):
		_, digest, _ := strings.Cut(path, "/blobs/")
		r.blob(w, req, digest, "application/octet-stream")
	default:
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such path")
	}
}

func (r *registry) manifest(w http.ResponseWriter, req *http.Request, repository, reference string) {
	separator := ":"
	if strings.Contains(reference, ":") {
		separator = "@"
	}
	m, ok := r.manifests[repository+separator+reference]
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	r.blob(w, req, m.Digest.String(), string(m.MediaType))
}

func (r *registry) blob(w http.ResponseWriter, req *http.Request, digest, mediaType string) {
	hash, err := v1.NewHash(digest)
	if err != nil {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "no digest")
		return
	}
	blob, err := r.path.Blob(hash)
	if errors.Is(err, os.ErrNotExist) {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	defer blob.Close()
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	if file, ok := blob.(io.ReadSeeker); ok {
		http.ServeContent(w, req, "", time.Time{}, file)
		return
	}
	_, _ = io.Copy(w, blob)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}
