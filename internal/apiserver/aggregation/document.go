package aggregation

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/knarr-io/knarr/internal/apiserver/openapi"
)

// maxDocument bounds an OpenAPI document of another server, in bytes.
const maxDocument = 8 << 20

// schemas are the OpenAPI documents of another server, compressed; either may
// be empty.
type schemas struct{ v2, v3 []byte }

// readSchemas asks the server for its documents. One that has none is as good
// as any other.
func (b *backend) readSchemas(ctx context.Context) schemas {
	return schemas{v2: b.document(ctx, "/openapi/v2"), v3: b.document(ctx, "/openapi/v3/apis/"+b.gv().String())}
}

func (b *backend) document(ctx context.Context, path string) []byte {
	body, err := b.get(ctx, path, maxDocument)
	if err != nil || !json.Valid(body) {
		return nil
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil
	}
	if _, err := w.Write(body); err != nil || w.Close() != nil {
		return nil
	}
	return out.Bytes()
}

// get reads a bounded answer of the server, as the aggregator itself.
func (b *backend) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	at := b.endpoint.URL()
	at.Path = path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	// Upstream's servers know this user of the aggregator.
	req.Header.Set("X-Remote-User", "system:kube-aggregator")
	req.Header.Set("X-Remote-Group", "system:masters")
	resp, err := b.endpoint.Transport().RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("Get %q: %w", at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("bad status from %s: %d", at, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("the answer of %s exceeds %d bytes", at, limit)
	}
	return body, err
}

// extra are the documents as they join this server's own.
func (b *backend) extra() (openapi.Extra, bool) {
	docs := b.known.Load().schemas
	if len(docs.v3) == 0 && len(docs.v2) == 0 {
		return openapi.Extra{}, false
	}
	sum := sha256.New()
	sum.Write(docs.v2)
	sum.Write(docs.v3)
	paths := "/apis/" + b.gv().String()
	return openapi.Extra{
		Name: strings.TrimPrefix(paths, "/"), Tag: fmt.Sprintf("%X", sum.Sum(nil)),
		V3: func() (*spec3.OpenAPI, error) {
			out := &spec3.OpenAPI{Version: "3.0.0"}
			return out, read(docs.v3, out)
		},
		V2: func() (*spec.Swagger, error) {
			out := &spec.Swagger{SwaggerProps: spec.SwaggerProps{Paths: &spec.Paths{}, Definitions: spec.Definitions{}}}
			if err := read(docs.v2, out); err != nil || out.Paths == nil {
				return &spec.Swagger{SwaggerProps: spec.SwaggerProps{Paths: &spec.Paths{}}}, nil //nolint:nilerr // a bad document of another harms nobody
			}
			for path := range out.Paths.Paths {
				if path != paths+"/" && !strings.HasPrefix(path, paths+"/") {
					delete(out.Paths.Paths, path)
				}
			}
			return out, nil
		},
	}, true
}

// read decodes a compressed document; an empty one leaves into as it is.
func read(compressed []byte, into any) error {
	if len(compressed) == 0 {
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
