package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/match"
)

const pluginName = "MutatingAdmissionWebhook"

// passes is what the first pass remembers for the second: which webhooks are
// to be called again, and the object that it left.
type passes struct {
	called []string // may be called again if a later one changes something
	again  []string
	left   runtime.Object
}

// changed makes everything that was called so far be called again.
func (p *passes) changed() {
	p.again = append(p.again, p.called...)
	p.called = nil
}

// mutate calls the mutating webhooks that are about the write, in order.
func (h *Hooks) mutate(ctx context.Context, a *admission.Attributes) error {
	hooks := h.of(mutating)
	if len(hooks) == 0 || match.Exempt(a) {
		return nil
	}
	memory, _ := a.Recall(pluginName).(*passes)
	if memory == nil {
		memory = &passes{}
	} else if a.IsAgain() && !apiequality.Semantic.DeepEqual(memory.left, a.Object) {
		memory.changed()
	}
	shapes, asked := admission.NewShapes(ctx, a), false
	for i, w := range hooks {
		k, err := h.wanted(ctx, w, a, shapes)
		if err != nil {
			return err
		}
		if k == nil || a.IsAgain() && !slices.Contains(memory.again, w.key) {
			continue
		}
		asked = true
		changed, err := h.mutateBy(ctx, w, i, a, k, shapes)
		if err != nil {
			return err
		}
		if changed {
			shapes = admission.NewShapes(ctx, a)
			memory.changed()
			a.RunAgain()
		}
		if w.again {
			memory.called = append(memory.called, w.key)
		}
	}
	if asked && !a.IsAgain() && a.Object != nil {
		memory.left = a.Object.DeepCopyObject()
		a.Remember(pluginName, memory)
	}
	return nil
}

// mutateBy lets one webhook change the write's object.
func (h *Hooks) mutateBy(ctx context.Context, w *hook, index int, a *admission.Attributes, k *api.Kind, shapes *admission.Shapes) (changed bool, err error) {
	shape, err := shapes.In(k)
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	round, began := 0, time.Now()
	if a.IsAgain() {
		round = 1
	}
	place := fmt.Sprintf("round_%d_index_%d", round, index)
	got, err := h.call(ctx, mutating, w, a, k, shape)
	if err == nil {
		heed(w, a, got)
		if got.Allowed {
			changed, err = apply(ctx, w, a, k, shape, got, place)
		} else {
			err = rejection(w.name, got.Result)
		}
	}
	h.metrics.called(w, mutating, a, err, time.Since(began))
	a.Note("mutation.webhook.admission.k8s.io/"+place, mutationNote(w, changed))
	if err == nil {
		return changed, nil
	}
	if h.mayFail(w, err, mutating) {
		a.Note("failed-open.mutation.webhook.admission.k8s.io/"+place, w.name)
		return false, timedOut(ctx)
	}
	return false, refusal(err)
}

// mutationNote tells the audit log whether a webhook changed something.
func mutationNote(w *hook, changed bool) string {
	note, err := json.Marshal(struct {
		Configuration string `json:"configuration"`
		Webhook       string `json:"webhook"`
		Mutated       bool   `json:"mutated"`
	}{w.configuration, w.name, changed})
	if err != nil {
		return ""
	}
	return string(note)
}

// mayFail tells whether a failure is one that the webhook's failure policy
// ignores, and counts it.
func (h *Hooks) mayFail(w *hook, err error, k kind) bool {
	var failed *callFailed
	if !errors.As(err, &failed) {
		return false
	}
	if !w.ignoreFails {
		h.log.Warn("webhook failed, the write is refused", "webhook", w.name, "error", err)
		return false
	}
	if !errors.Is(err, context.Canceled) {
		h.log.Warn("webhook failed, the write goes on without it", "webhook", w.name, "error", err)
		h.metrics.failedOpen(w, k)
	}
	return true
}
