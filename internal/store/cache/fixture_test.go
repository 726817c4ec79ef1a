package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

// testKinds are a namespaced kind with an index, one without, a cluster-scoped
// one, one that expires, and one that is stored as JSON.
type testKinds struct{ pods, configMaps, nodes, events, widgets *api.Kind }

func (k testKinds) all() []*api.Kind {
	return []*api.Kind{k.pods, k.configMaps, k.nodes, k.events, k.widgets}
}

func newTestKinds() testKinds {
	return testKinds{
		pods: api.Spec[*corev1.Pod]{
			Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true,
			New:           func() *corev1.Pod { return &corev1.Pod{} },
			Fields:        func(p *corev1.Pod) fields.Set { return fields.Set{"spec.nodeName": p.Spec.NodeName} },
			FieldNames:    []string{"spec.nodeName"},
			IndexedFields: []string{"spec.nodeName"},
		}.Kind(),
		configMaps: api.Spec[*corev1.ConfigMap]{
			Version: "v1", Name: "ConfigMap", Resource: "configmaps", Namespaced: true,
			New: func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		}.Kind(),
		nodes: api.Spec[*corev1.Node]{
			Version: "v1", Name: "Node", Resource: "nodes",
			New: func() *corev1.Node { return &corev1.Node{} },
		}.Kind(),
		events: api.Spec[*corev1.Event]{
			Version: "v1", Name: "Event", Resource: "events", Namespaced: true,
			New: func() *corev1.Event { return &corev1.Event{} },
			TTL: func(*corev1.Event) time.Duration { return 20 * time.Millisecond },
		}.Kind(),
		widgets: api.Spec[*unstructured.Unstructured]{
			Group: "example.com", Version: "v1", Name: "Widget", Resource: "widgets", Namespaced: true,
			New: func() *unstructured.Unstructured { return &unstructured.Unstructured{} },
		}.Kind(),
	}
}

var _ runtime.Object = (*unstructured.Unstructured)(nil)

// fixture is a cache on an engine in memory.
type fixture struct {
	testing.TB
	store store.Store
	cache *Cache
	kinds testKinds
}

func newFixture(t testing.TB, options Options) *fixture {
	t.Helper()
	st, err := disk.Open(t.Context(), disk.Options{InMemory: true})
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() { st.Close() })
	f := &fixture{TB: t, store: st, kinds: newTestKinds()}
	f.cache = f.open(options)
	return f
}

// open opens a further cache on the fixture's store.
func (f *fixture) open(options Options) *Cache {
	f.Helper()
	if _, bench := f.TB.(*testing.B); !bench && options.Mutated == nil {
		options.Mutated = func(key string) { f.Errorf("%s was changed after it was shared", key) }
	}
	c, err := Open(f.Context(), f.store, f.kinds.all(), options)
	if err != nil {
		f.Fatalf("opening the cache: %v", err)
	}
	f.Cleanup(c.Close)
	return c
}

func (f *fixture) pods() *Resource { return f.cache.Of(f.kinds.pods) }

func (f *fixture) configMaps() *Resource { return f.cache.Of(f.kinds.configMaps) }

func (f *fixture) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.Cleanup(cancel)
	return ctx
}

func (f *fixture) create(r *Resource, obj api.Object) *Item {
	f.Helper()
	item, err := r.Create(f.ctx(), obj)
	if err != nil {
		f.Fatalf("creating %s: %v", obj.GetName(), err)
	}
	return item
}

func (f *fixture) update(r *Resource, old *Item, change func(api.Object)) *Item {
	f.Helper()
	obj := old.Object.DeepCopyObject().(api.Object)
	change(obj)
	item, err := r.Update(f.ctx(), old, obj)
	if err != nil {
		f.Fatalf("updating %s: %v", old.Key(), err)
	}
	return item
}

func (f *fixture) delete(r *Resource, old *Item) *Item {
	f.Helper()
	item, err := r.Delete(f.ctx(), old)
	if err != nil {
		f.Fatalf("deleting %s: %v", old.Key(), err)
	}
	return item
}

func configMap(namespace, name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string]string{"value": value},
	}
}

func setValue(value string) func(api.Object) {
	return func(obj api.Object) { obj.(*corev1.ConfigMap).Data["value"] = value }
}

func pod(namespace, name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: node},
	}
}

// keys lists a snapshot as text: "namespace/name@resourceVersion".
func keys(s Snapshot) []string {
	out := []string{}
	s.Ascend("", "", "", func(i *Item) bool {
		out = append(out, i.Key()+"@"+i.Object.GetResourceVersion())
		return true
	})
	return out
}

// eventText is an event as text.
func eventText(e Event) string {
	old := ""
	if e.Old != nil {
		old = " was " + e.Old.Object.GetResourceVersion()
	}
	return fmt.Sprintf("%s %s@%s%s", e.Type, e.Item.Key(), e.Item.Object.GetResourceVersion(), old)
}

// collect reads n events as text.
func (f *fixture) collect(w *Watch, n int) []string {
	f.Helper()
	out := []string{}
	ctx := f.ctx()
	for len(out) < n {
		events, err := w.Next(ctx)
		if err != nil {
			f.Fatalf("watch after %d of %d events: %v", len(out), n, err)
		}
		for _, e := range events {
			if FormatRevision(e.Revision) != e.Item.Object.GetResourceVersion() {
				f.Errorf("event at %d carries resourceVersion %s", e.Revision, e.Item.Object.GetResourceVersion())
			}
			out = append(out, eventText(e))
		}
	}
	return out
}

func (f *fixture) watch(r *Resource, after store.Revision) *Watch {
	f.Helper()
	w, err := r.Watch(after)
	if err != nil {
		f.Fatalf("watch after %d: %v", after, err)
	}
	f.Cleanup(w.Stop)
	return w
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
