package disk

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/knarr-io/knarr/internal/store"
)

// BenchmarkCommit is one durable commit of 1 KiB; it needs a real disk
// (TMPDIR) to say anything.
func BenchmarkCommit(b *testing.B) {
	for _, workers := range []int{1, 16} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			e := openTest(b, Options{Dir: b.TempDir()})
			value := []byte(strings.Repeat("x", 1024))
			var next atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						op := store.Op{Key: fmt.Sprintf("/core/configmaps/default/c%08d", i), Value: value, Expect: store.Absent()}
						if _, err := e.Commit(b.Context(), []store.Op{op}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkOpen opens and closes a store on disk.
func BenchmarkOpen(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			e := openTest(b, Options{Dir: b.TempDir()})
			b.StopTimer()
			e.Close()
			b.StartTimer()
		}
	})
	for _, n := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("objects=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			e := openTest(b, Options{Dir: dir})
			value := []byte(strings.Repeat("x", 1024))
			for i := 0; i < n; i += 100 {
				ops := make([]store.Op, 100)
				for j := range ops {
					ops[j] = store.Op{Key: fmt.Sprintf("/core/configmaps/default/c%08d", i+j), Value: value}
				}
				mustCommit(b, e, ops)
			}
			e.Close()
			for b.Loop() {
				e := openTest(b, Options{Dir: dir})
				b.StopTimer()
				e.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkScan reads 5,000 records of 1 KiB.
func BenchmarkScan(b *testing.B) {
	e := openTest(b, Options{Dir: b.TempDir()})
	value := []byte(strings.Repeat("x", 1024))
	for i := range 50 {
		ops := make([]store.Op, 100)
		for j := range ops {
			ops[j] = store.Op{Key: fmt.Sprintf("/core/configmaps/default/c%04d%02d", i, j), Value: value}
		}
		mustCommit(b, e, ops)
	}
	for b.Loop() {
		got, err := e.Scan(b.Context(), store.Page{Prefix: "/core/configmaps/"})
		if err != nil || len(got.Records) != 5000 {
			b.Fatal(len(got.Records), err)
		}
	}
}
