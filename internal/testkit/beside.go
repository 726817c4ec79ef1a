package testkit

import (
	"context"
	"testing"

	"github.com/knarr-io/knarr/internal/client"
)

// Beside runs a part of a node, on informers of its own, until the test ends;
// it must end without an error then.
func Beside(t testing.TB, run func(context.Context) error, informers ...*client.Informers) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	for _, inf := range informers {
		inf.Start(ctx)
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for _, inf := range informers {
			inf.Wait()
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
