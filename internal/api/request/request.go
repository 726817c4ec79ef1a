// Package request is one API request as data, and the contract of what
// carries it: a function call inside the server's process, or HTTPS from
// elsewhere. The server's HTTP layer parses what arrives into the same
// Request, so that both ways meet the same authorization, admission, audit
// and verb handlers.
package request

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api"
)

// Verb is what a request asks for, in the words of RBAC.
type Verb string

// The verbs of resources.
const (
	Get              Verb = "get"
	List             Verb = "list"
	Watch            Verb = "watch"
	Create           Verb = "create"
	Update           Verb = "update"
	Patch            Verb = "patch"
	Delete           Verb = "delete"
	DeleteCollection Verb = "deletecollection"
)

// Request asks one thing of one resource. A request is built by one
// goroutine and not changed after it was handed over.
type Request struct {
	Verb        Verb
	Kind        *api.Kind
	Subresource string
	// Namespace is empty for cluster-scoped kinds, and for lists and watches
	// over all namespaces.
	Namespace string
	// Name is empty for create, list, watch and deletecollection. A list or
	// watch with a field selector on metadata.name stays a list.
	Name string

	// Object is the body of create and update. The server takes it over: the
	// caller neither reads nor changes it afterwards.
	Object runtime.Object
	// Body is the raw patch, with its type.
	Body      []byte
	PatchType types.PatchType

	// Options of the verb; the one that belongs to Verb counts, and its zero
	// value is upstream's default.
	ListOptions   metav1.ListOptions // list, watch, deletecollection
	GetOptions    metav1.GetOptions
	CreateOptions metav1.CreateOptions
	UpdateOptions metav1.UpdateOptions
	PatchOptions  metav1.PatchOptions
	DeleteOptions metav1.DeleteOptions // delete, deletecollection
}

// Event is one step of a watch. Object is shared and immutable; it is a
// *metav1.Status for watch.Error and carries only a resourceVersion (and the
// initial-events-end annotation) for watch.Bookmark.
type Event struct {
	Type   watch.EventType
	Object runtime.Object
}

// Stream is a running watch.
type Stream interface {
	// Next blocks until events are there and returns all that are ready. It
	// ends with io.EOF when the server closes the watch in good order (as at
	// a time-out), with an API status error (410 Expired and the like)
	// otherwise, and with ctx's error. Only one goroutine may call it.
	Next(ctx context.Context) ([]Event, error)
	// Stop ends the watch; it may be called more than once, at any time.
	Stop()
}

// Transport carries requests to an API server under one identity. Errors are
// API status errors (k8s.io/apimachinery/pkg/api/errors tells them apart) or
// the transport's own. Safe for concurrent use.
type Transport interface {
	// Do answers every verb but watch. The returned object is shared and
	// immutable; a list is an *api.List.
	Do(ctx context.Context, req *Request) (runtime.Object, error)
	// Watch starts a watch; ctx bounds its life.
	Watch(ctx context.Context, req *Request) (Stream, error)
}
