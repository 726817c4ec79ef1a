package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// slowStore is a real store whose scans wait to be let go.
type slowStore struct {
	store.Store
	scans atomic.Int32
	hold  chan struct{} // nil: they do not wait
}

func (s *slowStore) Scan(ctx context.Context, page store.Page) (store.Scan, error) {
	if s.hold != nil {
		s.scans.Add(1)
		<-s.hold
	}
	return s.Store.Scan(ctx, page)
}

// A state of long ago is all of a resource, decoded anew: many who ask for such
// states at once do not each hold one more of them in memory.
func TestThePastIsReadByOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, err := disk.Open(t.Context(), disk.Options{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { engine.Close() })
		slow := &slowStore{Store: engine}
		f := &fixture{TB: t, store: slow, kinds: newTestKinds()}
		f.cache = f.open(Options{})
		f.update(f.configMaps(), f.create(f.configMaps(), configMap("a", "b", "1")), setValue("2"))
		f.create(f.configMaps(), configMap("a", "c", ""))
		f.cache = f.open(Options{Replay: -1})
		slow.hold = make(chan struct{})

		want := map[store.Revision][]string{1: {"a/b@1"}, 2: {"a/b@2"}}
		var asking sync.WaitGroup
		for range 3 {
			for rev, state := range want {
				asking.Go(func() {
					s, err := f.configMaps().At(f.ctx(), rev)
					if err != nil {
						t.Errorf("At(%d): %v", rev, err)
						return
					}
					if diff := cmp.Diff(state, keys(s)); diff != "" {
						t.Errorf("at %d (-want +got):\n%s", rev, diff)
					}
				})
			}
		}
		synctest.Wait()
		if n := slow.scans.Load(); n != 1 {
			t.Errorf("%d read at the same time", n)
		}
		hurried, leave := context.WithCancel(t.Context())
		asking.Go(func() {
			_, err := f.configMaps().At(hurried, 1)
			wantError(t, err, context.Canceled)
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(slow.hold)
		asking.Wait()
		if n := slow.scans.Load(); n != 2 {
			t.Errorf("two states were read by %d scans", n)
		}
	})
}
