package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// tries is how often one layer is asked for while its connection breaks.
const tries = 5

// ranges asks a repository for the rest of a blob (OCI distribution
// specification, "Pulling blobs"; RFC 9110, section 14).
type ranges struct {
	repository ggcr.Repository
	client     *http.Client
}

// newRanges connects, and signs in where the registry wants that.
func newRanges(ctx context.Context, repository ggcr.Repository, auth authn.Authenticator, rt http.RoundTripper) (*ranges, error) {
	signed, err := transport.NewWithContext(ctx, repository.Registry, auth, transport.NewUserAgent(rt, "knarr"), []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	return &ranges{repository: repository, client: &http.Client{Transport: signed}}, nil
}

// open returns a blob from an offset on, or from its beginning where the
// registry does not know how to skip.
func (r *ranges) open(ctx context.Context, digest string, from, size int64) (io.ReadCloser, int64, error) {
	u := url.URL{Scheme: r.repository.Scheme(), Host: r.repository.RegistryStr(), Path: fmt.Sprintf("/v2/%s/blobs/%s", r.repository.RepositoryStr(), digest)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, size-1))
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, 0, nil
	}
	if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", from)) {
		resp.Body.Close()
		return nil, 0, fmt.Errorf("asked for bytes from %d on, got %q", from, got)
	}
	return resp.Body, from, nil
}
