package harness

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Connections say how a load's clients connect.
type Connections int

// NewConnections opens one for every request; KeepAlive goes on with those
// that are open, as browsers and proxies do.
const (
	NewConnections Connections = iota
	KeepAlive
)

// The load's rate: requests per second of one load, over a few clients.
const (
	loadClients = 4
	loadEvery   = 20 * time.Millisecond
)

// Load is a stream of requests that goes on beside the test.
type Load struct {
	url  string
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	ok     int
	failed []string
	lastOK time.Time
	gap    time.Duration // the longest between two good answers
}

// NewLoad fetches the URL some 200 times a second until it is stopped, or the
// test ends.
func NewLoad(t testing.TB, dial Dialer, url string, connections Connections) *Load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &Load{url: url, stop: cancel, lastOK: time.Now()}
	for range loadClients {
		client := Browser(dial, connections == KeepAlive)
		l.done.Go(func() {
			ticker := time.NewTicker(loadEvery)
			defer ticker.Stop()
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				_, err := Fetch(ctx, client, url, "")
				l.count(ctx, err)
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	t.Cleanup(l.Stop)
	return l
}

func (l *Load) count(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		l.ok++
		l.gap = max(l.gap, now.Sub(l.lastOK))
		l.lastOK = now
	case ctx.Err() == nil:
		l.failed = append(l.failed, fmt.Sprintf("%s %v", now.Format("15:04:05.000"), err))
	}
}

// Stop ends the load.
func (l *Load) Stop() {
	l.stop()
	l.done.Wait()
}

// Count tells how many requests have been answered.
func (l *Load) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ok
}

// None fails the test where a request has failed so far, or none was made.
func (l *Load) None(t testing.TB) {
	t.Helper()
	Await(t, time.Minute, "answer to the load on "+l.url, func(context.Context) error {
		if l.Count() == 0 {
			return fmt.Errorf("none of %d requests was answered", len(l.failures()))
		}
		return nil
	})
	if failed := l.failures(); len(failed) > 0 {
		t.Errorf("%d of %d requests to %s failed; first %v", len(failed), len(failed)+l.Count(), l.url, failed[:min(5, len(failed))])
	}
}

func (l *Load) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.failed...)
}
