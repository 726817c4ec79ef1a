package verb

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// watched is a handler on a real cache, for watches of pods alone.
type watched struct {
	testing.TB
	*Handler
	kind *api.Kind
	pods *cache.Resource
}

func newWatched(t testing.TB) *watched {
	t.Helper()
	engine, err := disk.Open(context.Background(), disk.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	kinds := catalog.New()
	objects, err := cache.Open(context.Background(), engine, kinds.Kinds(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	kind := kinds.TypeOf(&corev1.Pod{})
	return &watched{TB: t, Handler: New(Config{Cache: objects}), kind: kind, pods: objects.Of(kind)}
}

func (w *watched) watch(namespace, fields, after string) *Watch {
	w.Helper()
	out, err := w.Watch(context.Background(), &request.Request{Verb: request.Watch, Kind: w.kind, Namespace: namespace,
		ListOptions: metav1.ListOptions{FieldSelector: fields, ResourceVersion: after}})
	if err != nil {
		w.Fatalf("watching %s: %v", fields, err)
	}
	w.Cleanup(out.Stop)
	return out
}

// unscoped is the same watch over everything that happens to pods.
func (w *watched) unscoped(namespace, fields, after string) *Watch {
	w.Helper()
	out := w.watch(namespace, fields, after)
	all, err := w.pods.Watch(out.from)
	if err != nil {
		w.Fatal(err)
	}
	out.events.Stop()
	out.events = all
	return out
}

func (w *watched) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// put makes a pod or moves it to another node; remove deletes it.
func (w *watched) put(namespace, name, node string) {
	w.Helper()
	if item, found := w.pods.Get(namespace, name); found {
		next := item.Object.DeepCopyObject().(*corev1.Pod)
		next.Spec.NodeName = node
		next.Generation++
		_, err := w.pods.Update(context.Background(), item, next)
		w.check(err)
		return
	}
	_, err := w.pods.Create(context.Background(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{NodeName: node}})
	w.check(err)
}

func (w *watched) remove(namespace, name string) {
	w.Helper()
	if item, found := w.pods.Get(namespace, name); found {
		_, err := w.pods.Delete(context.Background(), item)
		w.check(err)
	}
}

// seen reads a watch up to a revision, where Next would wait for an event
// that matches.
func seen(t testing.TB, running *Watch, end store.Revision) []string {
	t.Helper()
	var out []string
	for running.events.Position() < end {
		events, err := running.events.Next(t.Context())
		if err != nil {
			t.Fatalf("after %v: %v", out, err)
		}
		running.out = running.out[:0]
		for i := range events {
			running.translate(&events[i])
		}
		out = append(out, texts(running.out)...)
	}
	return out
}

func texts(events []Event) []string {
	var out []string
	for _, ev := range events {
		obj := ev.Object
		if ev.Item != nil {
			obj = ev.Item.Object
		}
		out = append(out, fmt.Sprintf("%s %s/%s on %q at %s", ev.Type, obj.GetNamespace(), obj.GetName(), obj.(*corev1.Pod).Spec.NodeName, obj.GetResourceVersion()))
	}
	return out
}

// TestWatchOfAFieldSeesComingAndGoing: an object that comes to the value is
// added, one that leaves it is deleted, as it was when it was last there.
func TestWatchOfAFieldSeesComingAndGoing(t *testing.T) {
	w := newWatched(t)
	w.put("x", "before", "n1")
	running := w.watch("", "spec.nodeName=n1", "")
	w.put("x", "a", "")       // 2
	w.put("x", "other", "n2") // 3
	w.put("x", "a", "n1")     // 4
	w.put("x", "a", "n1")     // 5
	w.put("x", "a", "n2")     // 6
	w.put("y", "b", "n1")     // 7
	w.remove("x", "other")    // 8
	w.remove("y", "b")        // 9
	want := []string{
		`ADDED x/before on "n1" at 1`,
		`ADDED x/a on "n1" at 4`, `MODIFIED x/a on "n1" at 5`, `DELETED x/a on "n1" at 6`,
		`ADDED y/b on "n1" at 7`, `DELETED y/b on "n1" at 9`,
	}
	events, err := running.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, append(texts(events), seen(t, running, 9)...)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// Elsewhere things go on: the watch is not woken, and knows how far it is.
	w.put("x", "elsewhere", "n2")
	if got := running.events.Position(); got != 10 {
		t.Errorf("the watch is at %d, want 10", got)
	}
}

func TestWatchOfANameSeesThatObjectAlone(t *testing.T) {
	w := newWatched(t)
	w.put("x", "a", "")
	running := w.watch("x", "metadata.name=a", "1")
	w.put("y", "a", "n1") // 2
	w.put("x", "b", "n1") // 3
	w.put("x", "a", "n1") // 4
	w.remove("x", "a")    // 5
	w.put("x", "a", "")   // 6
	want := []string{`MODIFIED x/a on "n1" at 4`, `DELETED x/a on "n1" at 5`, `ADDED x/a on "" at 6`}
	if diff := cmp.Diff(want, seen(t, running, 6)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestNarrowWatchesSeeWhatWideOnesSee: a watch that follows a part of the
// resource sees the same as one that looks at every event.
func TestNarrowWatchesSeeWhatWideOnesSee(t *testing.T) {
	w := newWatched(t)
	namespaces, names, nodes := []string{"x", "y"}, []string{"a", "b", "c"}, []string{"", "n1", "n2"}
	selectors := []string{"metadata.name=a", "spec.nodeName=n1", "spec.nodeName=", "metadata.name=a,spec.nodeName=n1",
		"spec.nodeName=n1,metadata.name!=b", "metadata.name=a,metadata.name=b"}
	property.Check(t, func(rt *rapid.T) {
		type pair struct {
			what         string
			narrow, wide *Watch
		}
		var pairs []pair
		begin := func() {
			namespace := rapid.SampledFrom([]string{"", "x"}).Draw(rt, "watched namespace")
			fields := rapid.SampledFrom(selectors).Draw(rt, "fields")
			after := fmt.Sprint(w.Cache.Revision())
			if after == "0" {
				return // zero would ask for the state
			}
			pairs = append(pairs, pair{namespace + "|" + fields + "@" + after, w.watch(namespace, fields, after), w.unscoped(namespace, fields, after)})
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			namespace, name := rapid.SampledFrom(namespaces).Draw(rt, "namespace"), rapid.SampledFrom(names).Draw(rt, "name")
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				w.remove(namespace, name)
			case 1:
				begin()
			default:
				w.put(namespace, name, rapid.SampledFrom(nodes).Draw(rt, "node"))
			}
		}
		w.put("end", "end", "")
		end := w.Cache.Revision()
		for _, p := range pairs {
			if diff := cmp.Diff(seen(t, p.wide, end), seen(t, p.narrow, end)); diff != "" {
				rt.Fatalf("%s (-wide +narrow)\n%s", p.what, diff)
			}
			p.narrow.Stop()
			p.wide.Stop()
		}
	})
}
