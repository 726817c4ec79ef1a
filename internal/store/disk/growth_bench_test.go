package disk

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/knarr-io/knarr/internal/store"
)

// BenchmarkOverwrite is a durable, guarded write of 1.4 KiB to one of N keys, by 16
// writers, in CPU time of the process: it must hardly depend on N. It needs a
// real disk (TMPDIR) to say anything.
func BenchmarkOverwrite(b *testing.B) {
	for _, keys := range []int64{2000, 8000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			e := openTest(b, Options{Dir: b.TempDir()})
			value := []byte(strings.Repeat("x", 1400))
			begun := processTime(b)
			var wg sync.WaitGroup
			const writers = 16 // divides the numbers of keys: each has its own
			for w := range int64(writers) {
				wg.Go(func() {
					newest := map[int64]store.Revision{}
					for i := w; i < int64(b.N); i += writers {
						op := store.Op{Key: fmt.Sprintf("/core/configmaps/default/c%d", i%keys), Value: value, Expect: store.Absent()}
						if rev := newest[i%keys]; rev > 0 {
							op.Expect = store.ModifiedAt(rev)
						}
						rev, err := e.Commit(b.Context(), []store.Op{op})
						if err != nil {
							b.Error(err)
							return
						}
						newest[i%keys] = rev
					}
				})
			}
			wg.Wait()
			b.ReportMetric((processTime(b)-begun)/float64(b.N), "CPU-µs/op")
		})
	}
}

// processTime is what this process has used so far, in µs.
func processTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
