package webhook

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/match"
)

// question is one webhook to be asked about a write.
type question struct {
	hook  *hook
	kind  *api.Kind
	shape *admission.Shape

	got *admissionv1.AdmissionResponse
	err error
}

// validate asks all validating webhooks that are about the write at the same
// time; the first refusal in their order counts.
func (h *Hooks) validate(ctx context.Context, a *admission.Attributes) error {
	hooks := h.of(validating)
	if len(hooks) == 0 || match.Exempt(a) {
		return nil
	}
	questions, err := h.questions(ctx, hooks, a)
	if err != nil || len(questions) == 0 {
		return err
	}
	if err := timedOut(ctx); err != nil {
		return err
	}
	var asked sync.WaitGroup
	for i := range questions {
		asked.Go(func() { h.put(ctx, &questions[i], a) })
	}
	asked.Wait()
	var first error
	for i := range questions {
		if err := h.judge(&questions[i], a, i); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (h *Hooks) questions(ctx context.Context, hooks []*hook, a *admission.Attributes) ([]question, error) {
	var out []question
	shapes := admission.NewShapes(ctx, a)
	for _, w := range hooks {
		k, err := h.wanted(ctx, w, a, shapes)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		shape, err := shapes.In(k)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		out = append(out, question{hook: w, kind: k, shape: shape})
	}
	return out, nil
}

// put asks one question. A panic of ours fails it alone.
func (h *Hooks) put(ctx context.Context, q *question, a *admission.Attributes) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("calling a webhook panicked", "webhook", q.hook.name, "panic", p, "stack", string(debug.Stack()))
			q.err = apierrors.NewInternalError(fmt.Errorf("ValidatingAdmissionWebhook/%s has panicked: %v", q.hook.name, p))
		}
	}()
	q.got, q.err = h.call(ctx, validating, q.hook, a, q.kind, q.shape)
	if q.err == nil && !q.got.Allowed {
		q.err = rejection(q.hook.name, q.got.Result)
	}
	h.metrics.called(q.hook, validating, a, q.err, time.Since(began))
}

// judge makes of an answer what the write's client gets.
func (h *Hooks) judge(q *question, a *admission.Attributes, index int) error {
	if q.got != nil {
		heed(q.hook, a, q.got)
	}
	if q.err == nil {
		return nil
	}
	if h.mayFail(q.hook, q.err, validating) {
		a.Note(fmt.Sprintf("failed-open.validating.webhook.admission.k8s.io/round_0_index_%d", index), q.hook.name)
		return nil
	}
	return refusal(q.err)
}
