package robustness

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/knarr-io/knarr/test/robustness/history"
)

// writers is how many clients there are.
const writers = 6

// round is a part of a run whose history is judged by itself.
type round struct {
	number    int
	namespace string
	history   *history.History
	sights    sights
	revisions revisions
	answered  counter
	notes     notes
	start     uint64 // revision at which it began
	begun     time.Time
	seed      uint64
}

func newRound(seed uint64, number int) *round {
	return &round{number: number, namespace: fmt.Sprintf("round-%d", number), history: &history.History{},
		sights: sights{known: map[history.Key]history.Version{}}, begun: time.Now(), seed: seed}
}

// clock is the time since the round began.
func (r *round) clock() time.Duration { return time.Since(r.begun) }

// random is the source of one actor of the round.
func (r *round) random(actor uint64) *rand.Rand {
	var key [32]byte
	for i, n := range []uint64{r.seed, uint64(r.number), actor} {
		binary.LittleEndian.PutUint64(key[8*i:], n)
	}
	return rand.New(rand.NewChaCha8(key))
}

// crew is the clients of a round.
type crew struct {
	stop      context.CancelFunc
	wait      sync.WaitGroup
	followers []*watcher
}

// prepare makes what the clients need, and takes down where the round begins.
func (r *round) prepare(ctx context.Context, a *api) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := a.must(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crates); err != nil {
		return err
	}
	if err := a.must(ctx, "/api/v1/namespaces", `{"metadata": {"name": "`+r.namespace+`"}}`); err != nil {
		return err
	}
	for _, kind := range resources {
		for {
			l, err := a.list(ctx, kind, r.namespace, 0)
			if err == nil {
				r.start = max(r.start, l.Revision)
				r.revisions.see(l.Revision)
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("list %s: %w", kind.name, err)
			}
			linger(ctx, 10*time.Millisecond) // the definition is young
		}
	}
	return nil
}

// work starts the clients.
func (r *round) work(ctx context.Context, connect func(http2 bool) (*api, error)) (*crew, error) {
	ctx, stop := context.WithCancel(ctx)
	c := &crew{stop: stop}
	for i := range writers {
		a, err := connect(i%2 == 0)
		if err != nil {
			stop()
			return nil, err
		}
		w := &writer{id: i, round: r, api: a, random: r.random(uint64(1 + i))}
		c.wait.Go(func() { w.run(ctx) })
	}
	for i, kind := range resources {
		a, err := connect(true)
		if err != nil {
			stop()
			return nil, err
		}
		follower := &watcher{round: r, api: a, resource: kind, from: r.start}
		wanderer := &watcher{round: r, api: a, resource: kind, random: r.random(uint64(101 + i))}
		c.followers = append(c.followers, follower)
		c.wait.Go(func() { follower.follow(ctx) })
		c.wait.Go(func() { wanderer.wander(ctx) })
	}
	return c, nil
}

// end ends the clients.
func (c *crew) end() {
	c.stop()
	c.wait.Wait()
}

// finish reads everything once more, on a server that has nothing under way any
// longer, and waits until the watches have seen the last write.
func (r *round) finish(ctx context.Context, a *api, followers []*watcher) error {
	w := &writer{id: writers, round: r, api: a, random: r.random(0), within: startTime}
	for _, f := range followers {
		last := history.Operation{Client: w.id, Key: history.Key{Resource: f.resource.name, Name: "last"}, Verb: history.Create, Value: f.resource.name + "-last"}
		last = w.request(ctx, last)
		r.history.Operation(last)
		if last.Outcome != history.Done {
			return fmt.Errorf("the last write: %v", last)
		}
		for _, name := range names {
			read := w.request(ctx, history.Operation{Client: w.id, Key: history.Key{Resource: f.resource.name, Name: name}, Verb: history.Get})
			r.history.Operation(read)
			if read.Outcome != history.Done && read.Outcome != history.Missing {
				return fmt.Errorf("a last read: %v", read)
			}
		}
		if err := f.catchUp(ctx, last.Key, last.Found); err != nil {
			return err
		}
		l, call := history.Listing{}, r.clock()
		l, err := a.list(ctx, f.resource, r.namespace, 0)
		if err != nil {
			return fmt.Errorf("a last list of %s: %w", f.resource.name, err)
		}
		l.Call, l.Return = call, r.clock()
		r.history.Listing(l)
	}
	return nil
}

// revisions remembers the newest one that was seen.
type revisions struct {
	mu   sync.Mutex
	last uint64 // guarded by mu
}

func (r *revisions) see(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = max(r.last, n)
}

func (r *revisions) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// counter counts what is answered, and tells one waiter when there is more.
type counter struct {
	mu      sync.Mutex
	n       int           // guarded by mu
	target  int           // guarded by mu
	reached chan struct{} // guarded by mu; closed at target, then nil
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.reached != nil && c.n >= c.target {
		close(c.reached)
		c.reached = nil
	}
}

// more waits until n more were counted.
func (c *counter) more(ctx context.Context, n int) error {
	c.mu.Lock()
	reached := make(chan struct{})
	c.target, c.reached = c.n+max(n, 1), reached
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no %d requests were answered within %s: %w", n, startTime, ctx.Err())
	}
}
