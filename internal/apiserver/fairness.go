package apiserver

import (
	"context"
	stderrors "errors"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/flow"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// fair lets a request in when its priority level has seats for it. Streams
// are let in as they come: they cost little once they run.
func (s *Server) fair(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		if c.longRunning() && c.info.Verb != "watch" {
			next.ServeHTTP(w, r)
			return
		}
		class := s.flow.Classify(digest(c))
		if h := w.Header(); class.SchemaUID != "" {
			h.Set(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID, class.SchemaUID)
			h.Set(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID, class.LevelUID)
		}
		ticket, err := s.flow.Acquire(r.Context(), class, s.width(r, c))
		if err != nil {
			s.tooMany(w, r)
			return
		}
		c.ticket = ticket
		defer ticket.Release()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) tooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	s.fail(w, r, errTooMany())
}

func errTooMany() error {
	return errors.NewTooManyRequests("Too many requests, please try again later.", 1)
}

func digest(c *call) *flow.Digest {
	i := c.info
	d := &flow.Digest{User: c.user, Verb: i.Verb, IsResource: i.Resource, Group: i.Group, Resource: i.Plural, Namespace: i.Namespace, Path: i.Path}
	if i.Subresource != "" {
		d.Resource += "/" + i.Subresource
	}
	return d
}

// objectsPerSeat is how many objects of a list make it one seat wider, and
// widestList the most that a list takes, as upstream's.
const objectsPerSeat, widestList = 100, 10

// width is how many seats a request takes: a list, and a watch that begins
// with one, by the objects that it goes through.
func (s *Server) width(r *http.Request, c *call) int {
	i := c.info
	if !i.Resource || i.Name != "" || i.Verb != "list" && i.Verb != "watch" {
		return 1
	}
	k := s.Catalog.Resource(i.GVR())
	if k == nil {
		return 1
	}
	resource := s.Cache.Of(k)
	if resource == nil {
		return 1
	}
	objects := resource.Snapshot().Len()
	if r.URL.RawQuery != "" {
		query := r.URL.Query()
		if v := query.Get("resourceVersion"); i.Verb == "watch" && v != "" && v != "0" && query.Get("sendInitialEvents") != "true" {
			return 1
		}
		if limit, err := strconv.Atoi(query.Get("limit")); err == nil && limit > 0 && query.Get("labelSelector") == "" && query.Get("fieldSelector") == "" {
			objects = min(objects, limit)
		}
	}
	return min(widestList, int(math.Ceil(float64(objects)/objectsPerSeat)))
}

// bodyLength is what a request's body may take, in bytes.
func bodyLength(r *http.Request) int64 {
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return 0
	case r.ContentLength < 0:
		return limits.Body
	}
	return min(r.ContentLength, limits.Body)
}

// answerLength is about what the body of a list takes while it is made: its
// items, encoded, and all of them joined.
func answerLength(res verb.Result, format codec.Format) int64 {
	if res.List == nil {
		return 0
	}
	total := int64(0)
	for _, item := range res.List.Items {
		total += int64(item.Size())
	}
	if format != codec.Protobuf {
		total *= jsonGrowth
	}
	return 2 * total
}

// jsonGrowth is how much longer JSON is than what is stored, at most times.
const jsonGrowth = 3

// hold takes bytes of a budget and tells how to give them back; it fails when
// ctx ends first. Small ones are not counted: leases renew whatever else goes
// on.
func (s *Server) hold(ctx context.Context, b *budget, bytes int64) (release func(), err error) {
	if bytes < limits.SmallBytes {
		return func() {}, nil
	}
	bytes = min(bytes, b.size)
	if err := b.Acquire(ctx, bytes); err != nil {
		if stderrors.Is(err, context.Canceled) {
			return nil, err
		}
		return nil, errTooMany()
	}
	return func() { b.Release(bytes) }, nil
}

// budgetSize is a quarter of what the process may use (GOMEMLIMIT), within
// bounds.
func budgetSize() int64 {
	return min(max(debug.SetMemoryLimit(-1)/4, limits.BudgetLeast), limits.BudgetMost)
}
