package daemonset

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// The pause before a failed pod is replaced, as upstream's: it doubles, and is
// forgotten when a node had no failure for twice the longest pause.
const (
	firstPause = time.Second
	mostPause  = 15 * time.Minute
)

// backoffs remembers failures by DaemonSet and node. Its zero value is ready.
type backoffs struct {
	mu   sync.Mutex
	last map[spot]pause // guarded by mu
}

type spot struct {
	owner types.UID
	node  string
}

type pause struct {
	length time.Duration
	since  time.Time
}

// left is for how long the next pod is to wait.
func (b *backoffs) left(p spot, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, ok := b.last[p]
	if !ok {
		return 0
	}
	return max(0, have.since.Add(have.length).Sub(now))
}

// next counts a failure.
func (b *backoffs) next(p spot, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last = map[spot]pause{}
	}
	have, ok := b.last[p]
	length := firstPause
	if ok && now.Sub(have.since) <= 2*mostPause {
		length = min(2*have.length, mostPause)
	}
	b.last[p] = pause{length: length, since: now}
	for other, old := range b.last {
		if now.Sub(old.since) > 2*mostPause {
			delete(b.last, other)
		}
	}
}
