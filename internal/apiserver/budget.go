package apiserver

import "golang.org/x/sync/semaphore"

// budget bounds the bytes that all requests of a kind hold at a time. Who asks
// first gets first.
type budget struct {
	*semaphore.Weighted
	size int64
}

func newBudget(size int64) *budget {
	return &budget{Weighted: semaphore.NewWeighted(size), size: size}
}
