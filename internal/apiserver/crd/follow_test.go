package crd

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// A burst of changes that drops events before they were read makes the
// controller look at everything, and go on.
func TestABurstOfDefinitionsIsCaughtUpWith(t *testing.T) {
	engine, err := disk.Open(t.Context(), disk.Options{Dir: "/", InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	kinds := catalog.New()
	objects, err := cache.Open(t.Context(), engine, kinds.Kinds(), cache.Options{HistoryBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	c, err := New(Config{Catalog: kinds, Cache: objects})
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string) {
		t.Helper()
		if _, err := c.crds.Create(t.Context(), &v1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	before := c.crds.Snapshot().Revision()
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("d%03d.example.com", i)
		add(name)
		want = append(want, name)
	}
	c.serve("gone.example.com", &definition{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.follow(ctx, before) }()
	want = append(want, "gone.example.com")
	if got := taken(t, c.todo, len(want)); !slices.Equal(got, want) {
		t.Errorf("looked at %v", got)
	}
	add("late.example.com")
	if got := taken(t, c.todo, 1); got[0] != "late.example.com" {
		t.Errorf("then at %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// taken takes n names off the list as they come.
func taken(t *testing.T, list *todo, n int) []string {
	t.Helper()
	deadline := time.After(time.Minute)
	var out []string
	for len(out) < n {
		if name, ok := list.next(); ok {
			out = append(out, name)
			continue
		}
		select {
		case <-list.wake:
		case <-deadline:
			t.Fatalf("only %d of %d names came", len(out), n)
		}
	}
	return out
}

func TestANameIsOnTheListOnce(t *testing.T) {
	list := newTodo()
	list.add("a", "b", "a")
	list.add("b", "c")
	if got := taken(t, list, 3); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the list is %v", got)
	}
	list.add("a")
	if name, ok := list.next(); !ok || name != "a" {
		t.Errorf("a name that was taken does not come again: %q", name)
	}
	if name, ok := list.next(); ok {
		t.Errorf("the empty list gives %q", name)
	}
}
