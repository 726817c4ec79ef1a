package client_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// diary writes down what handlers are told.
type diary struct {
	mu   sync.Mutex
	told []string
}

func (d *diary) handler() func(old, new *corev1.ConfigMap) {
	return func(old, new *corev1.ConfigMap) {
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case old == nil:
			d.told = append(d.told, "new "+new.Name)
		case new == nil:
			d.told = append(d.told, "gone "+old.Name)
		default:
			d.told = append(d.told, fmt.Sprintf("%s %s->%s", new.Name, old.Data["k"], new.Data["k"]))
		}
	}
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.told...)
}

func (d *diary) becomes(t *testing.T, want ...string) {
	t.Helper()
	await.Until(t, soon, fmt.Sprint("told ", want), func() bool { return cmp.Equal(want, d.read()) })
}

// start runs informers until the test ends.
func start(t *testing.T, inf *client.Informers) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	inf.Start(ctx)
	t.Cleanup(func() { cancel(); inf.Wait() })
	if err := inf.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, c *client.Client, name, value string) {
	t.Helper()
	api := client.For[*corev1.ConfigMap](c)
	cm, err := api.Get(t.Context(), "default", name)
	if apierrors.IsNotFound(err) {
		cm = configMap(name, map[string]string{"x": "1"})
		cm.Data["k"] = value
		_, err = api.Create(t.Context(), cm)
	} else if err == nil {
		cm = cm.DeepCopy()
		cm.Data["k"] = value
		_, err = api.Update(t.Context(), cm)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func drop(t *testing.T, c *client.Client, name string) {
	t.Helper()
	if err := client.For[*corev1.ConfigMap](c).Delete(t.Context(), "default", name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestInformerFollows(t *testing.T) {
	transports(t, bare(), func(t *testing.T, _ *testkit.Cluster, c *client.Client) {
		inDefault := client.Selection{Namespace: "default"}
		put(t, c, "a", "1")
		all := client.NewInformers(c, nil)
		inf := client.InformerWith[*corev1.ConfigMap](all, inDefault)
		inf.AddIndex("value", func(cm *corev1.ConfigMap) []string { return []string{cm.Data["k"]} })
		var early, late diary
		inf.OnChange(early.handler())
		start(t, all)
		early.becomes(t, "new a")
		put(t, c, "a", "2")
		put(t, c, "b", "1")
		drop(t, c, "a")
		early.becomes(t, "new a", "a 1->2", "new b", "gone a")
		inf.OnChange(late.handler())
		late.becomes(t, "new b")
		if got := inf.ByIndex("value", "1"); len(got) != 1 || got[0].Name != "b" || len(inf.ByIndex("value", "2")) != 0 {
			t.Errorf("index: %v", got)
		}
		if _, there := inf.Get("default", "a"); there || inf.Len() != 1 || inf.Seen() == 0 {
			t.Error("the deleted object is still held")
		}
		if got := inf.List("default", labels.SelectorFromSet(labels.Set{"x": "1"})); len(got) != 1 {
			t.Errorf("list: %v", got)
		}
		if again := client.InformerWith[*corev1.ConfigMap](all, inDefault); !again.HasSynced() || again.Len() != 1 {
			t.Error("one selection has two informers")
		}
	})
}

// faulty is a transport whose watches end at will.
type faulty struct {
	request.Transport
	end   atomic.Pointer[error] // what watches end with
	lists atomic.Int32
	mu    sync.Mutex
	stop  []context.CancelFunc
}

func (f *faulty) Do(ctx context.Context, r *request.Request) (runtime.Object, error) {
	if r.Verb == request.List {
		f.lists.Add(1)
	}
	return f.Transport.Do(ctx, r)
}

func (f *faulty) Watch(ctx context.Context, r *request.Request) (request.Stream, error) {
	if r.ListOptions.SendInitialEvents != nil {
		return nil, apierrors.NewBadRequest("this server streams no state")
	}
	ctx, cancel := context.WithCancel(ctx)
	f.mu.Lock()
	f.stop = append(f.stop, cancel)
	f.mu.Unlock()
	s, err := f.Transport.Watch(ctx, r)
	return &faultyStream{Stream: s, f: f, ctx: ctx}, err
}

// watched tells whether there is a watch to cut: one begins after the list
// that its informer has synced by.
func (f *faulty) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.stop) > 0
}

// cut ends all watches with an error.
func (f *faulty) cut(err error) {
	f.end.Store(&err)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, stop := range f.stop {
		stop()
	}
	f.stop = nil
}

type faultyStream struct {
	request.Stream
	f   *faulty
	ctx context.Context
}

func (s *faultyStream) Next(ctx context.Context) ([]request.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	events, err := s.Stream.Next(ctx)
	if s.ctx.Err() != nil {
		if end := s.f.end.Load(); end != nil {
			return nil, *end
		}
	}
	return events, err
}

func TestInformerOutlivesItsWatches(t *testing.T) {
	for name, c := range map[string]struct {
		end   error
		lists int32 // in all, one of them at the start
	}{
		"ended in good order": {io.EOF, 1},
		"connection lost":     {io.ErrUnexpectedEOF, 1},
		"too old":             {apierrors.NewResourceExpired("too old resource version"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := testkit.Start(t, bare())
			f := &faulty{Transport: cluster.Admin.Transport()}
			put(t, cluster.Admin, "a", "1")
			put(t, cluster.Admin, "b", "1")
			all := client.NewInformers(client.New(f, cluster.Catalog), nil)
			inf := client.InformerFor[*corev1.ConfigMap](all)
			var d diary
			start(t, all)
			before := inf.Len()
			inf.OnChange(d.handler())
			await.Until(t, soon, "it watches", f.watched)
			f.cut(c.end)
			put(t, cluster.Admin, "a", "2")
			drop(t, cluster.Admin, "b")
			put(t, cluster.Admin, "c", "1")
			await.Until(t, soon, "it has caught up", func() bool {
				a, ok := inf.Get("default", "a")
				_, b := inf.Get("default", "b")
				_, c := inf.Get("default", "c")
				return ok && a.Data["k"] == "2" && !b && c && inf.Len() == before
			})
			if got := f.lists.Load(); got != c.lists {
				t.Errorf("listed %d times, want %d", got, c.lists)
			}
			await.Until(t, soon, "all is told", func() bool { return len(d.read()) >= before+3 }) // reads see a change first
			if told := d.read(); len(told) != before+3 {
				t.Errorf("told %v", told)
			}
		})
	}
}

// brief is a transport whose first watch ends with the state that it begins
// with, in one breath.
type brief struct {
	request.Transport
	watches atomic.Int32
	stopped atomic.Bool // the first watch
}

func (b *brief) Watch(ctx context.Context, r *request.Request) (request.Stream, error) {
	s, err := b.Transport.Watch(ctx, r)
	if err == nil && b.watches.Add(1) == 1 {
		s = &briefStream{Stream: s, of: b}
	}
	return s, err
}

type briefStream struct {
	request.Stream
	of *brief
}

func (s *briefStream) Next(ctx context.Context) ([]request.Event, error) {
	events, err := s.Stream.Next(ctx)
	if slices.ContainsFunc(events, func(ev request.Event) bool { return ev.Type == watch.Bookmark }) {
		events = append(slices.Clip(events), request.Event{Type: watch.Error, Object: &apierrors.NewInternalError(io.ErrUnexpectedEOF).ErrStatus})
	}
	return events, err
}

func (s *briefStream) Stop() {
	s.Stream.Stop()
	s.of.stopped.Store(true)
}

func TestInformerStopsAWatchThatEndsWithItsFirstState(t *testing.T) {
	cluster := testkit.Start(t, bare())
	b := &brief{Transport: cluster.Admin.Transport()}
	all := client.NewInformers(client.New(b, cluster.Catalog), nil)
	inf := client.InformerFor[*corev1.ConfigMap](all)
	start(t, all)
	put(t, cluster.Admin, "a", "1")
	await.Until(t, soon, "another watch goes on", func() bool { _, ok := inf.Get("default", "a"); return ok })
	if !b.stopped.Load() {
		t.Error("the first watch is left open")
	}
}

// Who waits for the first state of an informer that is forgotten does not wait
// for ever.
func TestForgottenInformerEndsWaits(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	informers := client.NewInformers(c.Admin, nil)
	maps := client.InformerFor[*corev1.ConfigMap](informers)
	informers.Forget(maps.Kind())
	if err := maps.WaitSynced(t.Context()); err == nil || t.Context().Err() != nil {
		t.Errorf("the wait ended with %v", err)
	}
}
