// Package client is how everything that is not the API server reads and
// writes objects: a typed client over a request.Transport, and informers that
// keep a kind's objects at hand and tell of their changes.
//
// The transport is a function call inside the server's process and HTTPS
// elsewhere; nothing above can tell which. Objects that come out of a client
// or an informer are shared and immutable: copy before changing.
package client

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
)

// Client asks an API server under one identity. It is immutable and safe for
// concurrent use.
type Client struct {
	transport request.Transport
	catalog   *catalog.Catalog
	manager   string
}

// New makes a client of a transport and the kinds it can ask for.
func New(t request.Transport, c *catalog.Catalog) *Client {
	return &Client{transport: t, catalog: c}
}

// WithManager is the same client writing under a field manager's name; the
// empty name leaves the choice to the server.
func (c *Client) WithManager(name string) *Client {
	return &Client{transport: c.transport, catalog: c.catalog, manager: name}
}

// Catalog is the list of kinds that the client knows.
func (c *Client) Catalog() *catalog.Catalog { return c.catalog }

// Transport is what carries the requests.
func (c *Client) Transport() request.Transport { return c.transport }

// Typed reads and writes the objects of one kind. Its zero value, and one of
// a type that the catalogue lacks, answers every call with an error.
type Typed[T api.Object] struct {
	client *Client
	kind   *api.Kind
}

// For is the client of the kind whose Go type is T.
func For[T api.Object](c *Client) Typed[T] {
	var none T
	return Typed[T]{client: c, kind: c.catalog.TypeOf(none)}
}

// Of is the client of a kind known only at run time.
func Of(c *Client, kind *api.Kind) Typed[api.Object] {
	return Typed[api.Object]{client: c, kind: kind}
}

// Kind is what the client reads and writes.
func (t Typed[T]) Kind() *api.Kind { return t.kind }

// Get reads one object at its newest; a NotFound error when there is none.
func (t Typed[T]) Get(ctx context.Context, namespace, name string) (T, error) {
	return t.do(ctx, &request.Request{Verb: request.Get, Namespace: namespace, Name: name})
}

// List reads all objects that the options select, page by page where
// opts.Limit is set. An empty namespace means all. The resourceVersion is
// that of the state read.
func (t Typed[T]) List(ctx context.Context, namespace string, opts metav1.ListOptions) (items []T, resourceVersion string, err error) {
	for {
		obj, err := t.raw(ctx, &request.Request{Verb: request.List, Namespace: namespace, ListOptions: opts})
		if err != nil {
			return nil, "", err
		}
		list, ok := obj.(*api.List)
		if !ok {
			return nil, "", fmt.Errorf("the server answered a list of %s with %T", t.kind.Resource, obj)
		}
		for _, item := range list.Items {
			typed, ok := item.(T)
			if !ok {
				return nil, "", fmt.Errorf("the server put a %T into a list of %s", item, t.kind.Resource)
			}
			items = append(items, typed)
		}
		if list.Continue == "" {
			return items, list.ResourceVersion, nil
		}
		opts.Continue, opts.ResourceVersion, opts.ResourceVersionMatch = list.Continue, "", ""
	}
}

// Create writes a new object, which the callee takes over, and returns it as
// stored.
func (t Typed[T]) Create(ctx context.Context, obj T) (T, error) {
	return t.do(ctx, &request.Request{
		Verb: request.Create, Namespace: obj.GetNamespace(), Object: obj,
		CreateOptions: metav1.CreateOptions{FieldManager: t.manager()},
	})
}

// Update replaces an object, which the callee takes over; a Conflict error
// when its resourceVersion is no longer the newest.
func (t Typed[T]) Update(ctx context.Context, obj T) (T, error) {
	return t.update(ctx, obj, "")
}

// UpdateStatus replaces only the object's status.
func (t Typed[T]) UpdateStatus(ctx context.Context, obj T) (T, error) {
	return t.update(ctx, obj, "status")
}

// UpdateSubresource replaces through a subresource that takes the object
// itself (approval, finalize).
func (t Typed[T]) UpdateSubresource(ctx context.Context, obj T, subresource string) (T, error) {
	return t.update(ctx, obj, subresource)
}

func (t Typed[T]) update(ctx context.Context, obj T, subresource string) (T, error) {
	return t.do(ctx, &request.Request{
		Verb: request.Update, Namespace: obj.GetNamespace(), Name: obj.GetName(), Subresource: subresource, Object: obj,
		UpdateOptions: metav1.UpdateOptions{FieldManager: t.manager()},
	})
}

// Patch changes an object, or one of its subresources, by a patch document.
func (t Typed[T]) Patch(ctx context.Context, namespace, name string, kind types.PatchType, patch []byte, subresources ...string) (T, error) {
	return t.patch(ctx, namespace, name, kind, patch, metav1.PatchOptions{FieldManager: t.manager()}, subresources)
}

// Apply merges the given document by server-side apply under the manager's
// name, taking over fields of other managers where force is set.
func (t Typed[T]) Apply(ctx context.Context, namespace, name string, doc []byte, manager string, force bool, subresources ...string) (T, error) {
	opts := metav1.PatchOptions{FieldManager: manager}
	if force {
		opts.Force = &force
	}
	return t.patch(ctx, namespace, name, types.ApplyPatchType, doc, opts, subresources)
}

func (t Typed[T]) patch(ctx context.Context, namespace, name string, kind types.PatchType, patch []byte, opts metav1.PatchOptions, subresources []string) (T, error) {
	req := &request.Request{
		Verb: request.Patch, Namespace: namespace, Name: name, Body: patch, PatchType: kind, PatchOptions: opts,
	}
	if len(subresources) > 0 {
		req.Subresource = subresources[0]
	}
	return t.do(ctx, req)
}

// Delete asks for an object's deletion; it may go later, when its grace
// period or its finalizers are done.
func (t Typed[T]) Delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	_, err := t.raw(ctx, &request.Request{Verb: request.Delete, Namespace: namespace, Name: name, DeleteOptions: opts})
	return err
}

// DeleteCollection asks for the deletion of all objects that list selects.
func (t Typed[T]) DeleteCollection(ctx context.Context, namespace string, opts metav1.DeleteOptions, list metav1.ListOptions) error {
	_, err := t.raw(ctx, &request.Request{
		Verb: request.DeleteCollection, Namespace: namespace, DeleteOptions: opts, ListOptions: list,
	})
	return err
}

// Act posts to an action subresource (binding, eviction, token), which takes
// and gives objects of its own.
func (t Typed[T]) Act(ctx context.Context, namespace, name, subresource string, obj runtime.Object) (runtime.Object, error) {
	return t.raw(ctx, &request.Request{
		Verb: request.Create, Namespace: namespace, Name: name, Subresource: subresource, Object: obj,
		CreateOptions: metav1.CreateOptions{FieldManager: t.manager()},
	})
}

// Watch streams the changes that the options select.
func (t Typed[T]) Watch(ctx context.Context, namespace string, opts metav1.ListOptions) (request.Stream, error) {
	if t.kind == nil {
		return nil, t.unknown()
	}
	return t.client.transport.Watch(ctx, &request.Request{
		Verb: request.Watch, Kind: t.kind, Namespace: namespace, ListOptions: opts,
	})
}

func (t Typed[T]) manager() string {
	if t.client == nil {
		return ""
	}
	return t.client.manager
}

func (t Typed[T]) raw(ctx context.Context, req *request.Request) (runtime.Object, error) {
	if t.kind == nil {
		return nil, t.unknown()
	}
	req.Kind = t.kind
	return t.client.transport.Do(ctx, req)
}

func (t Typed[T]) do(ctx context.Context, req *request.Request) (T, error) {
	var none T
	obj, err := t.raw(ctx, req)
	if err != nil {
		return none, err
	}
	out, ok := obj.(T)
	if !ok {
		return none, fmt.Errorf("the server answered %s %s with %T", req.Verb, t.kind.Resource, obj)
	}
	return out, nil
}

func (t Typed[T]) unknown() error {
	var none T
	return fmt.Errorf("no kind of the catalogue has the type %T", none)
}
