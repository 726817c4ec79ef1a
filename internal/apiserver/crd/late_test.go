package crd_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// terminating deletes the definition of widgets while a finalizer keeps one of
// them, and returns when only that one is waited for.
func terminating(t *testing.T, s *apitest.Server) {
	t.Helper()
	want(t, s, 201, "POST", widgets, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"held","finalizers":["example.com/hold"]}}`)
	want(t, s, 200, "DELETE", definitions+"/widgets.example.com", "")
	eventuallyHas(t, s, "widgets.example.com", "Terminating", "True InstanceDeletionInProgress")
	eventuallyHasTime(t, s, widgets+"/held")
}

// A create that was let in before the definition's deletion began does not
// store an object after it.
func TestACreateUnderWayEndsWithItsDefinition(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 10)
	plain := convert(func(map[string]any) {})
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(hook(t, func(w http.ResponseWriter, review map[string]any) {
		asked <- struct{}{}
		<-release
		plain(w, review)
	}), ""))
	eventually(t, s, 200, widgets)
	answered := make(chan int, 1)
	go func() {
		code, _, _ := s.Do(t, "POST", strings.Replace(widgets, "v1", "v2", 1), widget("v2", "late", `{"color":"red"}`))
		answered <- code
	}()
	<-asked
	terminating(t, s)
	close(release)
	if code := <-answered; code != 403 {
		t.Errorf("the create is answered %d, want 403", code)
	}
	want(t, s, 200, "PATCH", widgets+"/held", `{"metadata":{"finalizers":null}}`, "Content-Type", "application/merge-patch+json")
	eventually(t, s, 404, definitions+"/widgets.example.com")
}

// An object that comes when the others were asked to go is asked, too: the
// definition does not wait for it for ever.
func TestWhatComesLateGoesWithItsDefinition(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	terminating(t, s)
	kind := s.Catalog.Kind(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"})
	late := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"namespace": "default", "name": "late", "uid": "late"}}}
	if _, err := s.Cache.Of(kind).Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	want(t, s, 200, "PATCH", widgets+"/held", `{"metadata":{"finalizers":null}}`, "Content-Type", "application/merge-patch+json")
	eventually(t, s, 404, definitions+"/widgets.example.com")
}

// eventuallyHasTime waits until the deletion of an object has begun.
func eventuallyHasTime(t *testing.T, s *apitest.Server, path string) {
	t.Helper()
	await.Until(t, time.Minute, path+" is being deleted", func() bool {
		return at(want(t, s, 200, "GET", path, ""), "metadata", "deletionTimestamp") != nil
	})
}
