package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is an API object with metadata. Objects are immutable once shared:
// whoever wants to change one that came out of the cache, an informer or a
// client makes a DeepCopyObject first.
type Object interface {
	runtime.Object
	metav1.Object
}

// List is a list as it travels inside the process: pointers to shared objects
// instead of the copies that a typed list holds. It becomes the kind's list
// type only where it is encoded.
type List struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Object
}

// DeepCopyObject copies the list and every item.
func (l *List) DeepCopyObject() runtime.Object {
	out := &List{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy(), Items: make([]Object, len(l.Items))}
	for i, item := range l.Items {
		out.Items[i] = item.DeepCopyObject().(Object)
	}
	return out
}
