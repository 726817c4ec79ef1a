// Package verb answers API requests: get, list, watch, create, update, patch,
// apply, delete and their subresources, for every kind alike.
//
// A Handler knows nothing of HTTP: requests come in as request.Request, from
// the wire or from the server's own process, and answers go out as items of
// the cache, so that whoever encodes them can use bytes made before. It is
// called after authorization; admission runs in here, since mutating plugins
// must see the object as it is about to be stored.
//
// Invariants: objects of the cache are never changed (a copy is); a write
// that changes nothing is not stored and keeps its resourceVersion; every
// write either has the state that it was made from, or is tried again.
package verb

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/apiserver/managed"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what a Handler works with. All fields but Hooks and Checks are required.
type Config struct {
	Cache     *cache.Cache
	Codec     *codec.Codec
	Admission admission.Chain
	Managers  *managed.Managers
	Endpoints *endpoint.Registry
	// Hooks take part in the writes of single kinds (allocation).
	Hooks map[*api.Kind]Hook
	// Checks take part in the validation of single kinds.
	Checks map[*api.Kind]Check
	Logger *slog.Logger
	// Now is the time that objects get; nil is the wall clock.
	Now func() time.Time
	// Suffix makes the random end of generated names; nil is a good source.
	Suffix func() string
	// NewUID makes uids; nil makes random ones.
	NewUID func() types.UID
}

// Handler answers requests. Safe for concurrent use.
type Handler struct {
	Config
}

// New completes a configuration to a handler.
func New(c Config) *Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Suffix == nil {
		c.Suffix = randomSuffix
	}
	if c.NewUID == nil {
		c.NewUID = randomUID
	}
	if c.Endpoints == nil {
		c.Endpoints = endpoint.NewRegistry()
	}
	return &Handler{Config: c}
}

// Result is an answer. One of Item, Object and List is set.
type Result struct {
	// Status is the HTTP status of the answer.
	Status int
	// Kind is the kind whose name Item and List carry.
	Kind *api.Kind
	// Item is a stored object; for kinds that are views, as it is stored.
	Item *cache.Item
	// Object is an answer that is not in the cache.
	Object runtime.Object
	List   *List
}

// List is the answer of a list.
type List struct {
	metav1.ListMeta
	Items []*cache.Item
}

// Value is the answer as an object, of the kind asked for.
func (r Result) Value() runtime.Object {
	switch {
	case r.Item != nil:
		return View(r.Kind, r.Item)
	case r.List != nil:
		out := &api.List{ListMeta: r.List.ListMeta, Items: make([]api.Object, len(r.List.Items))}
		out.SetGroupVersionKind(r.Kind.ListKind())
		for i, item := range r.List.Items {
			out.Items[i] = View(r.Kind, item)
		}
		return out
	}
	return r.Object
}

// Do answers every verb but watch, and all but connections.
func (h *Handler) Do(ctx context.Context, u user.Info, req *request.Request) (Result, error) {
	t, err := h.target(req)
	if err != nil {
		return Result{}, err
	}
	ctx = withUser(ctx, u)
	if act := h.actOf(req); act != nil {
		return h.act(ctx, t, act)
	}
	if t.resource == nil {
		return Result{}, MethodNotAllowed()
	}
	if t.scale != nil {
		return h.doScale(ctx, t)
	}
	switch req.Verb {
	case request.Get:
		return h.get(ctx, t)
	case request.List:
		return h.list(ctx, t)
	case request.Create:
		return h.create(ctx, t)
	case request.Update:
		return h.update(ctx, t)
	case request.Patch:
		return h.patch(ctx, t)
	case request.Delete:
		return h.delete(ctx, t)
	case request.DeleteCollection:
		return h.deleteCollection(ctx, t)
	}
	return Result{}, MethodNotAllowed()
}

// ok answers with an item.
func (h *Handler) ok(ctx context.Context, k *api.Kind, item *cache.Item) (Result, error) {
	return Result{Status: http.StatusOK, Kind: k, Item: item}, h.shape(ctx, k, item)
}

func wrongBody(want string, got any) error {
	return errors.NewBadRequest(fmt.Sprintf("the body is of type %T, not a %s", got, want))
}
