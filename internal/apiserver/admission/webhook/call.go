package webhook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fmt"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

const (
	// maxAnswer bounds a webhook's answer: a patch in base64 that replaces an
	// object of the greatest size fits in.
	maxAnswer = 8 << 20
	// maxExcerpt bounds how much of an answer stands in an error.
	maxExcerpt = 2 << 10
	agent      = "kube-apiserver-admission"
	unasked    = http.StatusServiceUnavailable
)

// wanted tells whether a webhook is to be asked about a write, and as which
// kind; nil: it is not.
func (h *Hooks) wanted(ctx context.Context, w *hook, a *admission.Attributes, shapes *admission.Shapes) (*api.Kind, error) {
	k, err := h.matcher.Match(a, w.criteria)
	if k == nil || err != nil || w.conditions == nil {
		return k, err
	}
	versioned, err := shapes.Versioned(k)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	res := w.conditions.Match(ctx, versioned, nil, h.authorizer)
	switch {
	case res.Error != nil:
		return nil, apierrors.NewForbidden(a.Kind.GroupResource(), a.Name, res.Error)
	case !res.Matches:
		return nil, nil
	}
	return k, nil
}

// call asks a webhook about a write. The error is a *callFailed, a *rejected
// or an API status; without one the webhook allows the write.
func (h *Hooks) call(ctx context.Context, of kind, w *hook, a *admission.Attributes, k *api.Kind, shape *admission.Shape) (*admissionv1.AdmissionResponse, error) {
	fail := func(code int32, format string, args ...any) error {
		return &callFailed{hook: w.name, code: code, err: fmt.Errorf(format, args...)}
	}
	if a.DryRun {
		switch w.sideEffects {
		case admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.SideEffectClassNoneOnDryRun:
		case "":
			return nil, fail(http.StatusBadRequest, "Webhook SideEffects is nil")
		default:
			return nil, apierrors.NewBadRequest(fmt.Sprintf("admission webhook %q does not support dry run", w.name))
		}
	}
	question, err := ask(w, a, k, shape)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "could not create admission objects: %w", err)
	}
	if w.broken != nil {
		return nil, fail(http.StatusInternalServerError, "could not get REST client: %w", w.broken)
	}
	answer, err := w.endpoint.Post(ctx, outbound.Call{Body: question.body, Timeout: patience(ctx, w.timeout), Limit: maxAnswer, Agent: agent})
	if err == nil {
		err = statusError(answer)
	}
	if err != nil {
		return nil, fail(codeOf(err), "failed to call webhook: %w", err)
	}
	got, err := question.verify(answer.Body, of)
	if err != nil {
		return nil, fail(unasked, "received invalid webhook response: %w", err)
	}
	return got, nil
}

// patience is how long a call may take, in whole seconds: the webhook's own
// bound or what is left of the request's time.
func patience(ctx context.Context, limit time.Duration) time.Duration {
	deadline, has := ctx.Deadline()
	if !has {
		return limit
	}
	left := time.Until(deadline)
	if whole := left.Truncate(time.Second); whole != left {
		left = whole + time.Second
	}
	if limit == 0 || left > 0 && left < limit {
		return left
	}
	return limit
}

// statusError is the error that an answer other than a success means.
func statusError(a outbound.Answer) error {
	if a.Status >= http.StatusOK && a.Status <= http.StatusPartialContent {
		if len(a.Body) == 0 {
			return fmt.Errorf("0-length response with status code: %d and content type: ", a.Status)
		}
		return nil
	}
	text := "unknown"
	if len(a.Body) > 0 {
		text = strings.ToValidUTF8(strings.TrimSpace(string(a.Body[:min(len(a.Body), maxExcerpt)])), "\uFFFD")
	}
	return apierrors.NewGenericServerResponse(a.Status, http.MethodPost, schema.GroupResource{}, "", text, 0, true)
}

func codeOf(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return unasked
}

// heed passes on what an answer says beside its verdict.
func heed(w *hook, a *admission.Attributes, got *admissionv1.AdmissionResponse) {
	for key, value := range got.AuditAnnotations {
		a.Note(w.name+"/"+key, value)
	}
	for _, text := range got.Warnings {
		a.Warn(text)
	}
}
