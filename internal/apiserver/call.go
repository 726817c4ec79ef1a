package apiserver

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/audit"
	"github.com/knarr-io/knarr/internal/apiserver/flow"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/route"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// call is one request from the wire under way. It belongs to the request's
// goroutine.
type call struct {
	info     *route.Info
	user     user.Info
	started  time.Time
	warnings []string
	answer   negotiate.Answer
	kind     *api.Kind // set by dispatch
	auditID  string
	seen     *seenWriter   // set by measure
	ticket   *flow.Ticket  // its seats; nil: it takes none
	record   *audit.Record // nil: the audit log wants nothing of it
}

type callKey struct{}

func callOf(r *http.Request) *call { return r.Context().Value(callKey{}).(*call) }

// warn adds a warning to the answer, once.
func (c *call) warn(text string) {
	total := 0
	for _, have := range c.warnings {
		if have == text {
			return
		}
		total += len(have)
	}
	if runes := []rune(text); len(runes) > limits.Warning && total+len(text) > limits.Warnings {
		text = string(runes[:limits.Warning])
	}
	if total+len(text) <= limits.Warnings {
		c.warnings = append(c.warnings, text)
	}
}

// writeWarnings puts the warnings into the answer's header, which must not
// have been sent.
func (c *call) writeWarnings(h http.Header) {
	for _, text := range c.warnings {
		if line, err := net.NewWarningHeader(299, "-", text); err == nil {
			h.Add("Warning", line)
		}
	}
	c.warnings = nil
}

// begin starts a call: what is asked for, its record, and the headers that
// every answer has.
func (s *Server) begin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{info: route.Parse(r.Method, r.URL), started: time.Now(), auditID: auditID(r)}
		if !c.longRunning() {
			growStack(len(c.auditID) % stackRoom)
		}
		h := w.Header()
		h.Set("Audit-Id", c.auditID)
		h.Set("Cache-Control", "no-cache, private")
		ctx := context.WithValue(r.Context(), callKey{}, c)
		ctx = s.Audit.Prepare(verb.WithWarnings(ctx, c.warn))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// auditID is the request's id, of the client's choice if it has one.
func auditID(r *http.Request) string {
	if id := r.Header.Get("Audit-ID"); id != "" {
		return strings.ToValidUTF8(id[:min(len(id), limits.AuditID)], "")
	}
	return uuid.NewString()
}

// longRunning tells requests that last as long as their client wants.
func (c *call) longRunning() bool {
	if !c.info.Resource {
		return strings.HasPrefix(c.info.Path, "/debug/")
	}
	switch c.info.Subresource {
	case "log", "exec", "attach", "portforward", "proxy":
		return true
	}
	return c.info.Verb == "watch"
}
