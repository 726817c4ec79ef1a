// Package admission is the chain of plugins that see every write between its
// decoding and its storing: mutating ones in order, then, on the final
// object, validating ones.
//
// A plugin is a value; those that come with the server live in sub-packages,
// one each, and are listed in order by package builtin. Plugins hold no state
// of their own beyond what their constructor was given.
package admission

import (
	"context"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
)

// Operation is what is done to the object.
type Operation string

// The operations.
const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE"
	Delete  Operation = "DELETE"
	Connect Operation = "CONNECT"
)

// Attributes are one write as plugins see it.
type Attributes struct {
	Operation   Operation
	Kind        *api.Kind
	Subresource string
	Namespace   string
	// Name is empty for a create whose name is generated.
	Name string
	// Object is the new state: nil for a deletion, the body for an action or
	// connection. Mutate may change it, nobody else.
	Object runtime.Object
	// Old is the state before; nil for a create. It is shared and immutable.
	Old    runtime.Object
	User   user.Info
	DryRun bool
	// Body is the kind of Object and Old where the endpoint has one of its own
	// (Scale, Binding, PodExecOptions); zero: that of Kind.
	Body schema.GroupVersionKind
	// Options are those of the operation; nil for connections.
	Options runtime.Object
	// Warn sends a warning to the client; never nil.
	Warn func(text string)
	// Annotate adds to the request's audit event; nil: there is none. It may be
	// called concurrently.
	Annotate func(key, value string)

	again   Again
	memory  map[string]any
	settled []func()
}

// Of tells whether the write is to the main endpoint of a kind.
func (a *Attributes) Of(group, resource string) bool {
	return a.Subresource == "" && a.Kind.GVK.Group == group && a.Kind.Resource == resource
}

// Plugin is one step of admission. Either function may be nil. They may be
// called concurrently and, for one write, more than once.
type Plugin struct {
	Name     string
	Mutate   func(ctx context.Context, a *Attributes) error
	Validate func(ctx context.Context, a *Attributes) error
}

// Chain is the plugins in the order in which they run.
type Chain []Plugin

// Mutate lets every plugin change the object, and all once more where one
// asked for it. The first error ends it.
func (c Chain) Mutate(ctx context.Context, a *Attributes) error {
	if err := c.mutate(ctx, a); err != nil || a.again != Wanted {
		return err
	}
	a.again = Running
	return c.mutate(ctx, a)
}

func (c Chain) mutate(ctx context.Context, a *Attributes) error {
	for i := range c {
		if c[i].Mutate == nil {
			continue
		}
		if err := c[i].Mutate(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// Validate lets every plugin refuse the object. The first error ends it.
func (c Chain) Validate(ctx context.Context, a *Attributes) error {
	for i := range c {
		if c[i].Validate == nil {
			continue
		}
		if err := c[i].Validate(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// Forbidden is a plugin's refusal of a write.
func Forbidden(a *Attributes, err error) error {
	name := a.Name
	if name == "" {
		name = nameOf(a.Object)
	}
	if errors.ReasonForError(err) != "" && isStatus(err) {
		return err
	}
	return errors.NewForbidden(a.Kind.GroupResource(), name, err)
}

func isStatus(err error) bool {
	_, ok := err.(errors.APIStatus)
	return ok
}

func nameOf(obj runtime.Object) string {
	o, ok := obj.(api.Object)
	if !ok {
		return "Unknown"
	}
	if o.GetName() != "" {
		return o.GetName()
	}
	return o.GetGenerateName()
}
