package verb

import (
	stderrors "errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// lockMessage is the text of a lost race, by which clients know it.
const lockMessage = "the object has been modified; please apply your changes to the latest version and try again"

// NotServed refuses a request for a resource that nobody serves.
func NotServed() error {
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Message: "the server could not find the requested resource", Details: &metav1.StatusDetails{},
	}}
}

// MethodNotAllowed refuses a verb that the resource does not know.
func MethodNotAllowed() error {
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed,
		Message: "the server does not allow this method on the requested resource", Details: &metav1.StatusDetails{},
	}}
}

func (t *target) notFound() error {
	gr := t.groupResource()
	if gr.Group == "" && gr.Resource == "componentstatuses" {
		gr.Resource = "componentstatus" // so upstream names it
	}
	return errors.NewNotFound(gr, t.req.Name)
}

func (t *target) conflict() error {
	return errors.NewConflict(t.groupResource(), t.req.Name, stderrors.New(lockMessage))
}

// storageKey is where upstream would keep the object: its errors name it.
func (t *target) storageKey() string {
	k := t.kind.Stored()
	prefix, special := map[string]string{
		"services": "services/specs", "endpoints": "services/endpoints", "nodes": "minions",
		"replicationcontrollers": "controllers", "ingresses": "ingress",
	}[k.Resource]
	if !special {
		prefix = k.Resource
	}
	if k.Namespaced {
		prefix += "/" + t.req.Namespace
	}
	return "/registry/" + prefix + "/" + t.req.Name
}

func invalid(gk schema.GroupKind, name string, errs field.ErrorList) error {
	return errors.NewInvalid(gk, name, errs)
}

func invalidOptions(kind string, errs field.ErrorList) error {
	return invalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// storeError turns what the store says of a write into what the API answers.
func storeError(err error, k *api.Kind, name string) error {
	switch {
	case err == nil:
		return nil
	case stderrors.Is(err, store.ErrTooLarge):
		return errors.NewRequestEntityTooLargeError(fmt.Sprintf("%s %q is too large to be stored", k.GroupResource(), name))
	case stderrors.Is(err, store.ErrNoSpace):
		return noSpace(err)
	case stderrors.Is(err, store.ErrClosed):
		return errors.NewServiceUnavailable("the server is shutting down")
	}
	return err
}

// noSpace says that writes are refused for want of disk, as HTTP 507. It asks
// for no retry: clients would go on in silence for minutes before they told.
func noSpace(err error) error {
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: metav1.StatusReasonInternalError,
		Message: fmt.Sprintf("the disk of the server's data directory is too full for writes (%v); reads go on. Free some space and try again", err),
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: err.Error()}}},
	}}
}
