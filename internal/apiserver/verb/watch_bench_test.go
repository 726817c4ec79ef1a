package verb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/knarr-io/knarr/internal/store"
)

// BenchmarkNodeWatches is the processor time that one change of a pod costs
// where a thousand nodes watch their own pods: with watches of the field's
// value, and, as before there were such, of everything.
func BenchmarkNodeWatches(b *testing.B) {
	const nodes = 1000
	for name, begin := range map[string]func(w *watched, fields string) *Watch{
		"narrow": func(w *watched, fields string) *Watch { return w.watch("", fields, "1") },
		"wide":   func(w *watched, fields string) *Watch { return w.unscoped("", fields, "1") },
	} {
		b.Run(name, func(b *testing.B) {
			w := newWatched(b)
			w.put("x", "first", "")
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			got := make(chan struct{}, nodes)
			var running sync.WaitGroup
			for i := range nodes {
				watch := begin(w, fmt.Sprint("spec.nodeName=node-", i))
				running.Go(func() {
					for {
						events, err := watch.Next(ctx)
						if err != nil {
							if !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrClosed) {
								b.Error(err)
							}
							return
						}
						for range events {
							got <- struct{}{}
						}
					}
				})
			}
			before := processorTime(b)
			n := 0
			for b.Loop() {
				w.put("x", fmt.Sprint("pod-", n%nodes), fmt.Sprint("node-", n%nodes))
				<-got
				n++
			}
			b.ReportMetric((processorTime(b)-before)*1e6/float64(n), "CPU-us/event")
			cancel()
			running.Wait()
		})
	}
}

// processorTime is what this process has used so far, in seconds.
func processorTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
