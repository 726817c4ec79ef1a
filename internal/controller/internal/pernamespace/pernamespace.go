// Package pernamespace keeps one object of a given name in every namespace.
package pernamespace

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Rule is what to keep.
type Rule[T api.Object] struct {
	Name string
	// Make gives the object for a namespace.
	Make func(namespace string) T
	// Fix gives the object as it should be, from the one that is there; false
	// where it is right. Nil leaves what is there alone.
	Fix func(have T) (T, bool)
}

// Controller runs the loop. Make it with New.
type Controller[T api.Object] struct {
	rule       Rule[T]
	objects    client.Typed[T]
	informer   *client.Informer[T]
	namespaces *client.Informer[*corev1.Namespace]
	loop       *reconcile.Controller[string]
}

// New wires the rule to its informers.
func New[T api.Object](name string, c *client.Client, inf *client.Informers, rule Rule[T], opts reconcile.Options) *Controller[T] {
	r := &Controller[T]{
		rule: rule, objects: client.For[T](c),
		informer: client.InformerFor[T](inf), namespaces: client.InformerFor[*corev1.Namespace](inf),
	}
	r.loop = reconcile.New(name, r.reconcile, opts)
	r.namespaces.OnChange(func(_, new *corev1.Namespace) {
		if new != nil {
			r.loop.Enqueue(new.Name)
		}
	})
	r.informer.OnChange(func(old, new T) {
		var none T
		for _, obj := range []T{old, new} {
			if any(obj) != any(none) && obj.GetName() == rule.Name {
				r.loop.Enqueue(obj.GetNamespace())
				return
			}
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller[T]) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.namespaces, r.informer)
}

func (r *Controller[T]) reconcile(ctx context.Context, namespace string) (reconcile.Result, error) {
	ns, ok := r.namespaces.Get("", namespace)
	if !ok || ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating {
		return reconcile.Result{}, nil
	}
	var err error
	if have, ok := r.informer.Get(namespace, r.rule.Name); !ok {
		_, err = r.objects.Create(ctx, r.rule.Make(namespace))
	} else if r.rule.Fix != nil {
		if want, changed := r.rule.Fix(have); changed {
			_, err = r.objects.Update(ctx, want)
		}
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return reconcile.Result{}, nil // the informers will tell
	}
	return reconcile.Result{}, err
}
