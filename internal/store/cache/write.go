package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// Create stores a new object, which the cache takes over: the caller does not
// touch it afterwards. It fails with store.ErrConflict where the object
// exists, and with the store's errors; then nothing was written.
func (r *Resource) Create(ctx context.Context, obj api.Object) (*Item, error) {
	if err := r.checkName(obj); err != nil {
		return nil, err
	}
	key := joinKey(r.prefix, r.kind.Namespaced, obj.GetNamespace(), obj.GetName())
	return r.put(ctx, key, r.absent(key), obj)
}

// absent guards a new key. What the cache lacks did not exist at the revision
// that it has reached, unless something stored could not be read: from then on
// the store looks each new key up, until the next start.
func (r *Resource) absent(key string) store.Expect {
	reached := r.cache.Revision() // before the look
	if _, there := r.get(key); there || r.kind.Custom != nil || r.cache.lacks.Load() {
		return store.Absent()
	}
	return store.AbsentAt(reached)
}

// Update puts obj, which the cache takes over, in the place of old. It fails
// with store.ErrConflict where old is no longer the newest.
func (r *Resource) Update(ctx context.Context, old *Item, obj api.Object) (*Item, error) {
	if obj.GetName() != old.Object.GetName() || obj.GetNamespace() != old.Object.GetNamespace() {
		return nil, fmt.Errorf("update of %s: the new object is %s/%s", old.key, obj.GetNamespace(), obj.GetName())
	}
	return r.put(ctx, old.key, store.ModifiedAt(old.Revision), obj)
}

// Delete removes the object. It fails with store.ErrConflict where old is no
// longer the newest. The item that it returns is the last state with the
// deletion's revision as resourceVersion.
func (r *Resource) Delete(ctx context.Context, old *Item) (*Item, error) {
	gone := r.tombstone(old)
	op := store.Op{Key: old.key, Expect: store.ModifiedAt(old.Revision), Note: gone}
	return r.commit(ctx, op, gone)
}

func (r *Resource) put(ctx context.Context, key string, expect store.Expect, obj api.Object) (*Item, error) {
	obj.SetResourceVersion("")
	r.codec.identify(obj)
	value, err := r.codec.encode(key, obj)
	if err != nil {
		return nil, err
	}
	if r.kind.Custom != nil {
		r.kind.Custom.Compact(obj)
	}
	item := r.newItem(key, obj, len(value))
	op := store.Op{Key: key, Value: value, Expect: expect, Note: item}
	if r.kind.TTL != nil {
		op.TTL = r.kind.TTL(obj)
	}
	return r.commit(ctx, op, item)
}

// commit writes and waits until the follower has made the write visible.
func (r *Resource) commit(ctx context.Context, op store.Op, item *Item) (*Item, error) {
	began := time.Now()
	rev, err := r.cache.store.Commit(ctx, []store.Op{op})
	if observe := r.cache.options.Observe; observe != nil {
		observe(r.kind, operation(op), time.Since(began), err)
	}
	if err != nil {
		r.catchUp(ctx, err)
		return nil, err
	}
	// It is written: who asked must learn so, even if they would leave now.
	if err := r.cache.WaitFor(context.WithoutCancel(ctx), rev); err != nil {
		return nil, err
	}
	if item.Revision == 0 {
		// The note was lost on the way (the follower read the change from
		// the store's history), so nobody else has this item.
		item.commit(rev)
	}
	return item, nil
}

// operation names what a write does.
func operation(op store.Op) string {
	if op.Value == nil {
		return "delete"
	}
	if _, isNew := op.Expect.Absence(); isNew {
		return "create"
	}
	return "update"
}

// catchUp waits after a conflict until what won is visible here: whoever tries
// again would otherwise read the same old state, and lose again.
func (r *Resource) catchUp(ctx context.Context, err error) {
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		// Where this ends early the conflict is still the answer.
		_ = r.cache.WaitFor(ctx, max(conflict.Modified, r.cache.store.Revision()))
	}
}

func (r *Resource) checkName(obj api.Object) error {
	name, namespace := obj.GetName(), obj.GetNamespace()
	switch {
	case name == "":
		return fmt.Errorf("a %s needs a name to be stored", r.kind.GVK.Kind)
	case r.kind.Namespaced != (namespace != ""):
		return fmt.Errorf("%s %q: namespace %q does not fit the kind's scope", r.kind.GVK.Kind, name, namespace)
	case strings.ContainsAny(name, "/\x00") || strings.ContainsAny(namespace, "/\x00"):
		return fmt.Errorf("%s %q: the name cannot be part of a key", r.kind.GVK.Kind, name)
	}
	return nil
}

// tombstone is the item of old's deletion, still without a revision.
func (r *Resource) tombstone(old *Item) *Item {
	return &Item{
		Object: shallowCopy(old.Object), key: old.key, resource: r,
		index: old.index, size: old.size,
	}
}

// ShallowCopy makes an object of a shared one whose metadata can be set and which
// can be stored. The versions of an object share what lies below; nobody changes
// that.
func ShallowCopy(obj api.Object) api.Object {
	out := shallowCopy(obj)
	if _, ok := out.(*unstructured.Unstructured); !ok {
		out.SetManagedFields(slices.Clone(out.GetManagedFields())) // fieldSets writes into it
	}
	return out
}

// shallowCopy makes an object of its own whose metadata fields can be set; it
// shares everything below with obj, which is immutable.
func shallowCopy(obj api.Object) api.Object {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return shallowUnstructured(u)
	}
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(api.Object)
}

func shallowUnstructured(u *unstructured.Unstructured) *unstructured.Unstructured {
	content := make(map[string]any, len(u.Object))
	for k, v := range u.Object {
		content[k] = v
	}
	if meta, ok := content["metadata"].(map[string]any); ok {
		own := make(map[string]any, len(meta))
		for k, v := range meta {
			own[k] = v
		}
		content["metadata"] = own
	}
	return &unstructured.Unstructured{Object: content}
}
