package verb

import (
	"context"
	stderrors "errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// change is a write to an object that may be there already: update, patch
// and apply are one each.
type change struct {
	*write
	// make builds the wanted state out of the present one (nil: the object
	// does not exist). It is called again when the object changed meanwhile.
	make func(ctx context.Context, old *cache.Item) (api.Object, error)
	// sent is the body of an update: its uid is a precondition. Nil else.
	sent api.Object
	// createMissing lets the write create the object.
	createMissing bool
	// tries bounds how often a lost race is run again where the client named
	// no resourceVersion; zero is unbounded, as for unconditional updates.
	tries int
}

// change applies a change, again as long as others win the race.
func (h *Handler) change(ctx context.Context, c change) (Result, error) {
	hidden := 0
	for try := 1; ; try++ {
		res, raced, err := h.changeOnce(ctx, c)
		if !raced {
			return res, err
		}
		if hidden = c.countHidden(hidden, err); hidden == limits.PatchTries {
			return Result{}, errors.NewInternalError(fmt.Errorf("%s %q is stored, but cannot be read; the server's log says why", c.groupResource(), c.req.Name))
		}
		if c.tries > 0 && try >= c.tries {
			return Result{}, c.conflict()
		}
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
	}
}

// countHidden counts how often in turn an object was neither found nor could
// be made, for one is there. Once that is a race with others; an object that
// cannot be read stays so.
func (c *change) countHidden(before int, err error) int {
	if !errors.IsAlreadyExists(err) {
		return 0
	}
	if _, found := c.lookup(); found {
		return 0
	}
	return before + 1
}

// changeOnce tries a change once; raced tells that the object changed while
// the client had asked for no particular version of it.
func (h *Handler) changeOnce(ctx context.Context, c change) (res Result, raced bool, err error) {
	old, found := c.lookup()
	if !found {
		return h.changeMissing(ctx, c)
	}
	if err := h.shape(ctx, c.kind, old); err != nil {
		return Result{}, false, err
	}
	obj, err := c.make(ctx, old)
	if err != nil {
		return Result{}, false, err
	}
	prior := View(c.kind, old)
	a := h.updateAttributes(ctx, &c, obj, prior)
	defer a.Settle()
	if err := h.Admission.Mutate(ctx, a); err != nil {
		return Result{}, false, err
	}
	c.takeScale(a, obj)
	dedupOwners(ctx, obj)
	if uid := obj.GetUID(); uid != "" && uid != prior.GetUID() && c.sent != nil {
		return Result{}, false, c.preconditionFailed(string(uid), string(prior.GetUID()))
	}
	pinned, err := c.checkVersion(obj, prior)
	if err != nil {
		return Result{}, false, err
	}
	if err := h.prepareUpdate(ctx, c.target, obj, prior); err != nil {
		return Result{}, false, err
	}
	finish, err := h.begin(ctx, c.target, obj, prior, c.dryRun)
	if err != nil {
		return Result{}, false, err
	}
	if err := h.Admission.Validate(ctx, a); err != nil {
		finish(false)
		return Result{}, false, err
	}
	res, err = h.replace(ctx, c, old, obj, finish)
	if stderrors.Is(err, store.ErrConflict) {
		if pinned {
			return Result{}, false, c.overtaken()
		}
		return Result{}, true, err
	}
	return res, false, err
}

// overtaken is the answer to a change of a version that another write has
// replaced, or deleted, since it was read.
func (c *change) overtaken() error {
	if _, found := c.lookup(); !found && !c.createMissing {
		return c.notFound()
	}
	return c.conflict()
}

// preconditionFailed is the refusal of a write that names another object of
// the same name, in the words of upstream's store.
func (t *target) preconditionFailed(asked, have string) error {
	return errors.NewConflict(t.groupResource(), t.req.Name, fmt.Errorf("StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, "+
		"AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s", t.storageKey(), asked, have))
}

// changeMissing answers a change of an object that is not there.
func (h *Handler) changeMissing(ctx context.Context, c change) (res Result, raced bool, err error) {
	if !c.createMissing {
		return Result{}, false, c.notFound()
	}
	if c.sent != nil && c.sent.GetUID() != "" {
		return Result{}, false, c.preconditionFailed(string(c.sent.GetUID()), "")
	}
	obj, err := c.make(ctx, nil)
	if err != nil {
		return Result{}, false, err
	}
	if c.sent == nil && obj.GetUID() != "" {
		return Result{}, false, errors.NewConflict(c.groupResource(), c.req.Name,
			fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", obj.GetUID()))
	}
	if c.sent == nil {
		obj.SetResourceVersion("")
	} else if rv := obj.GetResourceVersion(); rv != "" && rv != "0" {
		return Result{}, false, c.conflict()
	}
	res, err = h.insertOnce(ctx, c.write, obj, false)
	if errors.IsAlreadyExists(err) && !c.dryRun {
		return Result{}, true, err
	}
	return res, false, err
}

// checkVersion compares the resourceVersion that the new state names with
// the present one; pinned tells that it named one.
func (c *change) checkVersion(obj, prior api.Object) (pinned bool, err error) {
	rv := obj.GetResourceVersion()
	if rv == prior.GetResourceVersion() {
		return c.sent != nil, nil
	}
	asked, err := listing.ParseRevision(rv)
	switch {
	case err != nil:
		return false, plainError(stderrors.Unwrap(err))
	case asked != 0:
		return true, c.conflict()
	case c.sent != nil && !c.kind.UnconditionalUpdate:
		at := field.NewPath("metadata", "resourceVersion")
		gr := c.kind.GroupResource()
		return false, invalid(schema.GroupKind{Group: gr.Group, Kind: gr.Resource}, obj.GetName(),
			field.ErrorList{field.Invalid(at, uint64(asked), "must be specified for an update")})
	}
	obj.SetResourceVersion(prior.GetResourceVersion())
	return false, nil
}

// replace stores the new state of an object, or removes the object when the
// change took its last finalizer. It calls finish with what became of it.
func (h *Handler) replace(ctx context.Context, c change, old *cache.Item, obj api.Object, finish func(stored bool)) (Result, error) {
	prior := View(c.kind, old)
	if unchanged(obj, prior) {
		finish(false)
		return h.ok(ctx, c.kind, old)
	}
	if c.dryRun {
		finish(false)
		return Result{Status: http.StatusOK, Kind: c.kind, Object: obj}, nil
	}
	if released(obj) {
		return h.release(ctx, c, old, obj, finish)
	}
	kept, err := h.stored(ctx, c.target, obj)
	if err != nil {
		finish(false)
		return Result{}, err
	}
	item, err := c.resource.Update(ctx, old, kept)
	finish(err == nil)
	if err != nil {
		return Result{}, storeError(err, c.kind, c.req.Name)
	}
	return h.ok(ctx, c.kind, item)
}

// release removes an object whose last finalizer a change took, in place of
// storing it once more.
func (h *Handler) release(ctx context.Context, c change, old *cache.Item, obj api.Object, finish func(bool)) (Result, error) {
	gone, err := c.resource.Delete(ctx, old)
	finish(false)
	if err != nil {
		return Result{}, storeError(err, c.kind, c.req.Name)
	}
	h.afterDelete(c.target, gone.Object)
	obj.SetResourceVersion(old.Object.GetResourceVersion())
	return Result{Status: http.StatusOK, Kind: c.kind, Object: obj}, nil
}
