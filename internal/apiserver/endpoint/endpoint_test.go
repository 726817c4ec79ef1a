package endpoint

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRegistryKeepsSubresourcesApart(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	r := NewRegistry()
	r.Act(pods, "binding", func(context.Context, Action) (runtime.Object, error) { return nil, nil })
	if r.ActOf(pods, "binding") == nil {
		t.Fatal("the registered handler is not found")
	}
	if r.ActOf(pods, "") != nil || r.ActOf(pods, "eviction") != nil || r.ConnectOf(pods, "binding") != nil {
		t.Fatal("a handler answers for an endpoint that it was not registered for")
	}
}

func TestRegisteringTwicePanics(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	r := NewRegistry()
	act := func(context.Context, Action) (runtime.Object, error) { return nil, nil }
	r.Act(pods, "binding", act)
	defer func() {
		if recover() == nil {
			t.Fatal("the second registration was taken silently")
		}
	}()
	r.Act(pods, "binding", act)
}
