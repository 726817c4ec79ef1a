package crd

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// unreadOnce is a store in which the objects of boats cannot be read the first
// time.
type unreadOnce struct {
	store.Store
	failed atomic.Bool
}

func (u *unreadOnce) Scan(ctx context.Context, p store.Page) (store.Scan, error) {
	if strings.HasPrefix(p.Prefix, "/example.com/") && !u.failed.Swap(true) {
		return store.Scan{}, errors.New("not now")
	}
	return u.Store.Scan(ctx, p)
}

// A definition whose objects could not be read is served when they can.
func TestADefinitionIsServedAfterAFailure(t *testing.T) {
	t.Parallel()
	engine, err := disk.Open(t.Context(), disk.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	kinds, faulty := catalog.New(), &unreadOnce{Store: engine}
	objects, err := cache.Open(t.Context(), faulty, kinds.Kinds(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	definitions := objects.Of(kinds.TypeOf(&v1.CustomResourceDefinition{}))
	c, err := New(Config{Catalog: kinds, Cache: objects, Do: func(ctx context.Context, req *request.Request) (runtime.Object, error) {
		crd := req.Object.(*v1.CustomResourceDefinition)
		old, _ := definitions.Get("", crd.Name)
		_, err := definitions.Update(ctx, old, crd)
		return crd, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := definitions.Create(t.Context(), boats([]byte(`{"type":"object"}`)).crd.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	await.Until(t, time.Minute, "boats are served", func() bool { return c.servedAs("boats.example.com") != nil })
	cancel()
	if err := <-done; err != nil || !faulty.failed.Load() {
		t.Errorf("it ended with %v; a read failed: %v", err, faulty.failed.Load())
	}
}
