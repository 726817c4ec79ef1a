// Package batch runs many calls at once, within bounds.
package batch

import (
	"errors"
	"sync"
)

// most calls that run at once.
const most = 128

// SlowStart makes n calls in batches of 1, 2, 4 and so on, each batch at
// once, so that a call that cannot succeed is not made n times. It stops
// after a batch with an error, and returns the number of successes and the
// first error.
func SlowStart(n int, fn func(i int) error) (int, error) {
	done := 0
	for size := min(n, 1); size > 0; size = min(2*size, n-done) {
		first := done
		ok, err := all(size, func(i int) error { return fn(first + i) })
		done += ok
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// All makes n calls at once and joins their errors.
func All(n int, fn func(i int) error) error {
	errs := make([]error, n)
	_, _ = all(n, func(i int) error {
		errs[i] = fn(i)
		return nil
	})
	return errors.Join(errs...)
}

func all(n int, fn func(i int) error) (int, error) {
	var mu sync.Mutex
	var first error
	ok := 0
	slots := make(chan struct{}, most)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				ok++
			} else if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return ok, first
}
