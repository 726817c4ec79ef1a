package verb

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
)

// A request on its way when its definition goes is answered as the next one
// will be: nobody serves the resource.
func TestRequestsMeetADefinitionThatGoes(t *testing.T) {
	w := newWatched(t)
	kind := api.Spec[*unstructured.Unstructured]{
		Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true,
		New: func() *unstructured.Unstructured { return &unstructured.Unstructured{} },
	}.Kind()
	kind.Custom = &api.Custom{}
	w.check(w.Cache.Put(context.Background(), kind))
	watch := &request.Request{Verb: request.Watch, Kind: kind, Namespace: "n"}
	found, err := w.target(watch)
	w.check(err)
	w.Cache.Remove(kind)

	if _, err := w.beginWatch(context.Background(), found); !errors.IsNotFound(err) {
		t.Errorf("a watch that begins meanwhile is answered %v", err)
	}
	if _, err := w.Watch(context.Background(), watch); !errors.IsNotFound(err) {
		t.Errorf("a watch that comes right after it is answered %v", err)
	}
	if _, err := w.Do(context.Background(), nil, &request.Request{Verb: request.Get, Kind: kind, Namespace: "n", Name: "a"}); !errors.IsNotFound(err) {
		t.Errorf("a get is answered %v", err)
	}
}
