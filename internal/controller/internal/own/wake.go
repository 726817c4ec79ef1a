package own

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Waker makes a handler for changes of dependents: it enqueues the owner of a
// kind that the object has, the one that it had, and, for one that nobody
// controls, those that could adopt it.
func Waker[D api.Object](kind string, enqueue func(reconcile.Key), adopters func(D) []reconcile.Key) func(old, new D) {
	return func(old, new D) {
		before, after := ownerKey(kind, old), ownerKey(kind, new)
		if before != nil && (after == nil || *before != *after) {
			enqueue(*before)
		}
		if after != nil {
			enqueue(*after)
		}
		if isNil(new) || metav1.GetControllerOfNoCopy(new) != nil {
			return
		}
		if !isNil(old) && before == nil && labels.Equals(old.GetLabels(), new.GetLabels()) {
			return
		}
		for _, key := range adopters(new) {
			enqueue(key)
		}
	}
}

// Adopters finds the objects of a namespace whose selector takes a dependent;
// one that takes everything, or cannot be read, adopts nothing.
func Adopters[O, D api.Object](owners *client.Informer[O], selector func(O) (labels.Selector, error)) func(D) []reconcile.Key {
	return func(obj D) []reconcile.Key {
		var out []reconcile.Key
		for _, owner := range owners.List(obj.GetNamespace(), nil) {
			s, err := selector(owner)
			if err == nil && !s.Empty() && s.Matches(labels.Set(obj.GetLabels())) {
				out = append(out, KeyOf(owner))
			}
		}
		return out
	}
}

// Enqueuer makes a handler for changes of the owners themselves.
func Enqueuer[O api.Object](enqueue func(reconcile.Key)) func(old, new O) {
	return func(old, new O) {
		if isNil(new) {
			new = old
		}
		enqueue(KeyOf(new))
	}
}

// KeyOf is an object's key.
func KeyOf(obj metav1.Object) reconcile.Key {
	return reconcile.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

func isNil[T api.Object](obj T) bool {
	var none T
	return any(obj) == any(none)
}

func ownerKey[D api.Object](kind string, obj D) *reconcile.Key {
	if isNil(obj) {
		return nil
	}
	ref := metav1.GetControllerOfNoCopy(obj)
	if ref == nil || ref.Kind != kind {
		return nil
	}
	return &reconcile.Key{Namespace: obj.GetNamespace(), Name: ref.Name}
}
