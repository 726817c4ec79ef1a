package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/route"
)

// answerLimit bounds what a reader in this process takes of one answer.
const answerLimit = 32 << 20

// insideKey marks requests of this process with who asks; nothing from the
// wire can.
type insideKey struct{}

// Get reads paths under an identity, as JSON, for parts of this process that
// need what a Transport cannot carry: the APIs of aggregated servers. Requests
// take the whole chain but for authentication. Errors are API status errors.
// The function is safe for concurrent use.
func (s *Server) Get(u user.Info) func(ctx context.Context, path string, query url.Values) ([]byte, error) {
	return func(ctx context.Context, path string, query url.Values) ([]byte, error) {
		ctx = context.WithValue(ctx, insideKey{}, u)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		r.URL.RawQuery = query.Encode()
		r.RequestURI, r.RemoteAddr, r.Host = r.URL.RequestURI(), "127.0.0.1:0", "localhost"
		r.Header.Set("Accept", "application/json")
		answer := &heldAnswer{header: http.Header{}}
		s.handler.ServeHTTP(answer, r)
		return answer.result(r)
	}
}

// heldAnswer keeps an answer in memory.
type heldAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header is part of http.ResponseWriter.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader is part of http.ResponseWriter.
func (a *heldAnswer) WriteHeader(code int) {
	if a.code == 0 && code >= http.StatusOK {
		a.code = code
	}
}

// Write is part of http.ResponseWriter.
func (a *heldAnswer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(b) > answerLimit {
		return 0, fmt.Errorf("the answer is above %d bytes", answerLimit)
	}
	return a.body.Write(b)
}

func (a *heldAnswer) result(r *http.Request) ([]byte, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if a.code < http.StatusBadRequest {
		return a.body.Bytes(), nil
	}
	var status metav1.Status
	if json.Unmarshal(a.body.Bytes(), &status) == nil && status.Kind == "Status" && status.Status == metav1.StatusFailure && status.Details != nil && status.Details.Name != "" {
		return nil, &errors.StatusError{ErrStatus: status}
	}
	info := route.Parse(r.Method, r.URL)
	message := a.body.String()
	if status.Message != "" {
		message = status.Message
	}
	return nil, errors.NewGenericServerResponse(a.code, "get", schema.GroupResource{Group: info.Group, Resource: info.GVR().Resource}, "", message, 0, status.Message == "")
}
