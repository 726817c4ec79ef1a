package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// callFailed is the failure of a call, for which the failure policy counts.
type callFailed struct {
	hook string
	err  error
	code int32 // for metrics
}

func (e *callFailed) Error() string {
	return fmt.Sprintf("failed calling webhook %q: %v", e.hook, e.err)
}

func (e *callFailed) Unwrap() error { return e.err }

// rejected is a webhook's answer that it does not want the write.
type rejected struct{ status *apierrors.StatusError }

func (e *rejected) Error() string { return e.status.Error() }

// refusal is the error that the client of a write gets.
func refusal(err error) error {
	var no *rejected
	if errors.As(err, &no) {
		return no.status
	}
	var failed *callFailed
	if errors.As(err, &failed) {
		return apierrors.NewInternalError(err)
	}
	return err
}

// outcome is the error in the words of metrics.
func outcome(err error) (refused bool, errorType string, code int32) {
	var no *rejected
	var failed *callFailed
	switch {
	case err == nil:
		return false, "", http.StatusOK
	case errors.As(err, &no):
		return true, "no_error", no.status.ErrStatus.Code
	case errors.As(err, &failed):
		return true, "calling_webhook_error", failed.code
	}
	return true, "apiserver_internal_error", 0
}

// rejection is the status of a write that a webhook rejected: what the
// webhook says, if that makes sense for a failure.
func rejection(hook string, result *metav1.Status) *rejected {
	out := metav1.Status{}
	if result != nil {
		out = *result
	}
	if out.Code < http.StatusBadRequest {
		out.Code = http.StatusBadRequest
	}
	if out.Status == "" || out.Status == metav1.StatusSuccess {
		out.Status = metav1.StatusFailure
	}
	denied := fmt.Sprintf("admission webhook %q denied the request", hook)
	switch {
	case out.Message != "":
		out.Message = denied + ": " + out.Message
	case out.Reason != "":
		out.Message = denied + ": " + string(out.Reason)
	default:
		out.Message = denied + " without explanation"
	}
	return &rejected{&apierrors.StatusError{ErrStatus: out}}
}

// timedOut is the refusal of a write whose own time is over.
func timedOut(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return apierrors.NewTimeoutError("request did not complete within requested timeout", 0)
}
