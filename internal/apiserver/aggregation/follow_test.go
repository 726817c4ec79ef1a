package aggregation

import (
	"context"
	"testing"
	"time"

	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// What is registered after the first look, and before changes are followed, is
// looked at all the same.
func TestNothingIsMissedBeforeChangesAreFollowed(t *testing.T) {
	engine, err := disk.Open(t.Context(), disk.Options{Dir: "/", InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	kinds := catalog.New()
	objects, err := cache.Open(t.Context(), engine, kinds.Kinds(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	registered := objects.Of(kinds.Resource(registration.SchemeGroupVersion.WithResource("apiservices")))
	a := &Aggregator{wake: make(chan struct{}, 1)}
	s := &registration.APIService{}
	s.Name = "v1.ext.example.com"
	if _, err := registered.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a.follow(ctx, make(chan error, 1), registered, func(*cache.Item) {})
	select {
	case <-a.wake:
	case <-time.After(time.Minute):
		t.Error("nobody looks at what was registered")
	}
	cancel()
	a.running.Wait()
}
