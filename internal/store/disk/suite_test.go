package disk

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/storetest"
)

// openTest opens an engine that the test closes.
func openTest(t testing.TB, o Options) *engine {
	t.Helper()
	e, err := open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestContract(t *testing.T) {
	t.Run("volatile", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) store.Store { return openTest(t, Options{InMemory: true}) })
	})
	t.Run("durable", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) store.Store { return openTest(t, Options{Dir: t.TempDir()}) })
	})
}

// TestModel uses a small memtable so that versions spread over sstables.
func TestModel(t *testing.T) {
	storetest.RunModel(t, func(t testing.TB) store.Store {
		e, err := open(t.Context(), Options{Dir: "store", FS: vfs.NewMem(), Keep: time.Hour, MemTableSize: 256 << 10, heads: 2})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		return e
	})
}
