package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// drive lets workers repeat an operation until the time is over and gives each
// operation's time in ms. The first error ends it.
func drive(ctx context.Context, workers int, length time.Duration, do func(ctx context.Context, i int64) error) ([]float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.Now().Add(length)
	var count atomic.Int64
	return gather(ctx, workers, func(took []float64) []float64 {
		for time.Now().Before(end) && ctx.Err() == nil {
			begun := time.Now()
			if err := do(ctx, count.Add(1)); err != nil {
				cancel(err)
				return took
			}
			took = append(took, milliseconds(time.Since(begun)))
		}
		return took
	})
}

// repeat lets workers do n operations in all.
func repeat(ctx context.Context, workers int, n int64, do func(ctx context.Context, i int64) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var count atomic.Int64
	_, err := gather(ctx, workers, func(took []float64) []float64 {
		for i := count.Add(1); i <= n && ctx.Err() == nil; i = count.Add(1) {
			if err := do(ctx, i); err != nil {
				cancel(err)
				return took
			}
		}
		return took
	})
	return err
}

func gather(ctx context.Context, workers int, work func([]float64) []float64) ([]float64, error) {
	var mu sync.Mutex
	var took []float64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			mine := work(nil)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	all.Wait()
	return took, context.Cause(ctx)
}
