package verb

import (
	"context"
	stderrors "errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func (h *Handler) get(ctx context.Context, t *target) (Result, error) {
	if t.req.Subresource != "" && t.req.Subresource != "status" && t.rules == nil {
		return Result{}, MethodNotAllowed()
	}
	rev, err := listing.ParseRevision(t.req.GetOptions.ResourceVersion)
	if err != nil {
		return Result{}, plainError(err)
	}
	if err := h.waitFor(ctx, rev); err != nil {
		return Result{}, err
	}
	item, found := t.lookup()
	if !found {
		return Result{}, t.notFound()
	}
	return h.ok(ctx, t.kind, item)
}

// waitFor waits until the cache has seen a revision.
func (h *Handler) waitFor(ctx context.Context, rev store.Revision) error {
	if rev <= h.Cache.Revision() {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, limits.Fresh)
	defer cancel()
	err := h.Cache.WaitFor(wait, rev)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if stderrors.Is(err, store.ErrClosed) {
		return errors.NewServiceUnavailable("the server is shutting down")
	}
	return tooLarge(rev, h.Cache.Revision())
}

// tooLarge says that a revision lies in the future.
func tooLarge(asked, current store.Revision) error {
	err := errors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", asked, current), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version",
	}}
	return err
}

// plainError is a failure that upstream answers without a reason.
func plainError(err error) error {
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error(),
	}}
}

func (h *Handler) list(ctx context.Context, t *target) (Result, error) {
	q, err := listing.Parse(t.kind, t.req.Namespace, t.req.ListOptions, false)
	if err != nil {
		return Result{}, err
	}
	snap, err := h.stateOf(ctx, t.resource, q)
	if err != nil {
		return Result{}, err
	}
	if err := h.shapeList(ctx, t.kind, snap, q); err != nil {
		return Result{}, err
	}
	list := collect(snap, t.kind, q)
	return Result{Status: http.StatusOK, Kind: t.kind, List: list}, nil
}

// stateOf is the state of a resource that a list asks for.
func (h *Handler) stateOf(ctx context.Context, r *cache.Resource, q listing.Query) (cache.Snapshot, error) {
	switch q.Match {
	case listing.NotOlderThan:
		if err := h.waitFor(ctx, q.Revision); err != nil {
			return cache.Snapshot{}, err
		}
	case listing.Exact:
		return h.stateAt(ctx, r, q)
	}
	return r.Snapshot(), nil
}

func (h *Handler) stateAt(ctx context.Context, r *cache.Resource, q listing.Query) (cache.Snapshot, error) {
	if err := h.waitFor(ctx, q.Revision); err != nil {
		return cache.Snapshot{}, err
	}
	snap, err := r.At(ctx, q.Revision)
	switch {
	case err == nil:
		return snap, nil
	case stderrors.Is(err, store.ErrTooOld) && (q.AfterName != "" || q.AfterNamespace != ""):
		return snap, expiredToken(q)
	case stderrors.Is(err, store.ErrTooOld):
		return snap, errors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	return snap, err
}

// expiredToken refuses a continue token whose state is no longer kept, and
// offers one that goes on in the newest state.
func expiredToken(q listing.Query) error {
	err := errors.NewResourceExpired("The provided continue parameter is too old " +
		"to display a consistent list result. You can start a new list without " +
		"the continue parameter, or use the continue token in this response to " +
		"retrieve the remainder of the results. Continuing with the provided " +
		"token results in an inconsistent list - objects that were created, " +
		"modified, or deleted between the time the first chunk was returned " +
		"and now may show up in the list.")
	err.ErrStatus.Continue = listing.TokenOfNewest(q.AfterNamespace, q.AfterName)
	return err
}
