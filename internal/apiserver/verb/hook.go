package verb

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
)

// Check takes part in the validation of one kind, for what no pure rule can
// know: who asks, and what else is stored. It is given what the kind's own
// rules found and returns all errors, in upstream's order. Objects are not
// changed.
type Check func(ctx context.Context, c Checked, found field.ErrorList) field.ErrorList

// Checked is a write that is checked.
type Checked struct {
	// Verb is that of the request, as authorization names it.
	Verb string
	// Subresource is empty for the object itself.
	Subresource string
	User        user.Info
	Object      api.Object
	// Old is nil for a create.
	Old api.Object
}

// check adds what the kind's Check finds; old is nil for a create.
func (h *Handler) check(ctx context.Context, t *target, obj, old api.Object, found field.ErrorList) field.ErrorList {
	check := h.Checks[t.kind]
	if check == nil {
		return found
	}
	return check(ctx, Checked{Verb: string(t.req.Verb), Subresource: t.req.Subresource, User: userOf(ctx), Object: obj, Old: old}, found)
}

// Hook takes part in the writes of one kind, for what no pure rule can do:
// handing out addresses and ports. It is called after the kind's validation and
// before validating admission, which sees what was handed out. An object that
// failed validation is put to it as a dry run: upstream hands out first, so that
// errors may name what would have been. obj may be changed; old is shared and
// immutable.
type Hook interface {
	// BeginCreate prepares a new object. finish is called once with what
	// became of the write; it is nil together with an error.
	BeginCreate(ctx context.Context, obj api.Object, dryRun bool) (finish func(stored bool), err error)
	// BeginUpdate prepares a change.
	BeginUpdate(ctx context.Context, obj, old api.Object, dryRun bool) (finish func(stored bool), err error)
	// AfterDelete is told of an object that is gone.
	AfterDelete(obj api.Object)
}

func finished(bool) {}

// begin lets the kind's hook prepare a valid write; old is nil for a create.
func (h *Handler) begin(ctx context.Context, t *target, obj, old api.Object, dryRun bool) (finish func(stored bool), err error) {
	hook := h.Hooks[t.kind]
	switch {
	case hook == nil:
		return finished, nil
	case old == nil:
		return hook.BeginCreate(ctx, obj, dryRun)
	}
	return hook.BeginUpdate(ctx, obj, old, dryRun)
}

// validated runs a kind's rules and its Check; where they find something and
// the kind has a hook, once more on what that would have made of the object.
func (h *Handler) validated(ctx context.Context, t *target, obj, old api.Object, rules func() field.ErrorList) error {
	errs := h.check(ctx, t, obj, old, rules())
	if len(errs) == 0 {
		return nil
	}
	if h.Hooks[t.kind] == nil {
		return t.invalid(obj, errs)
	}
	if finish, err := h.begin(ctx, t, obj, old, true); err == nil {
		finish(false)
		if again := h.check(ctx, t, obj, old, rules()); len(again) > 0 {
			errs = again
		}
	}
	return t.invalid(obj, errs)
}

func (h *Handler) afterDelete(t *target, obj api.Object) {
	if hook := h.Hooks[t.kind]; hook != nil {
		hook.AfterDelete(obj)
	}
}
