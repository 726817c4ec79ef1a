package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

// limited reads a body of bounded length. A client that sends it too slowly
// loses its request when the request's time is over.
func limited(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if deadline, bounded := r.Context().Deadline(); bounded {
		control := http.NewResponseController(w)
		defer unless(time.Until(deadline), func() { _ = control.SetReadDeadline(time.Unix(1, 0)) })()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limits.Body+1))
	if err != nil {
		return nil, errors.NewBadRequest(fmt.Sprintf("the body could not be read: %v", err))
	}
	if len(body) > limits.Body {
		return nil, errors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", limits.Body))
	}
	return body, nil
}

// writeBody sends a whole body. A client that does not take it loses its
// request after a while, so that it cannot hold the request's place.
func (s *Server) writeBody(w http.ResponseWriter, send func(io.Writer) error) {
	control := http.NewResponseController(w)
	defer unless(s.RequestTimeout, func() { _ = control.SetWriteDeadline(time.Unix(1, 0)) })()
	_ = send(w) // the client is gone if this fails
}

// unless calls late after a while, unless the function that it returns is
// called before. After that one returned, late does not run.
func unless(after time.Duration, late func()) (done func()) {
	var mu sync.Mutex
	over := false
	t := time.AfterFunc(after, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			late()
		}
	})
	return func() {
		if t.Stop() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}
