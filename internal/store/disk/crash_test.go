package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/knarr-io/knarr/internal/store"
)

// tally is what a test knows about commits: those that were tried, and those
// that were acknowledged with their last revision. A commit's operations have
// values "worker/number/of", so that each change can be traced to its commit.
type tally struct {
	mu    sync.Mutex
	tried map[string]int            // commit -> operations
	acked map[string]store.Revision // commit -> last revision
}

func newTally() *tally {
	return &tally{tried: map[string]int{}, acked: map[string]store.Revision{}}
}

func (l *tally) try(commit string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried[commit] = n
}

func (l *tally) ack(commit string, rev store.Revision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[commit] = rev
}

func (l *tally) acknowledged() map[string]store.Revision {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]store.Revision, len(l.acked))
	for k, v := range l.acked {
		out[k] = v
	}
	return out
}

// work commits until the context or the store ends.
func (l *tally) work(ctx context.Context, s store.Store, worker string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for i := 0; ctx.Err() == nil; i++ {
		commit := fmt.Sprintf("%s-%d", worker, i)
		ops := make([]store.Op, 1+rng.IntN(4))
		first := rng.IntN(40)
		for j := range ops {
			padding := strings.Repeat("x", rng.IntN(600))
			ops[j] = store.Op{Key: fmt.Sprintf("/k%02d", first+j), Value: fmt.Appendf(nil, "%s %d/%d %s", commit, j, len(ops), padding)}
		}
		l.try(commit, len(ops))
		rev, err := s.Commit(ctx, ops)
		if err == nil {
			l.ack(commit, rev)
		} else if ctx.Err() == nil {
			return
		}
		if i%50 == 49 {
			_ = s.Compact(ctx, s.Revision()-min(s.Revision(), store.Revision(rng.IntN(300))))
		}
	}
}

// verify checks a store that was opened after a crash: every acknowledged
// commit is there at its revision, commits are whole, none came twice, and
// the newest state is what the changes say.
func (l *tally) verify(t *testing.T, s store.Store, acked map[string]store.Revision) {
	t.Helper()
	ctx := t.Context()
	oldest, newest := s.Oldest(), s.Revision()
	byRevision := map[store.Revision]string{}
	for commit, rev := range acked {
		if rev > newest {
			t.Fatalf("acknowledged commit %s at %d is lost: the store is at %d", commit, rev, newest)
		}
		byRevision[rev] = commit
	}
	state := map[string]string{}
	if oldest > 0 {
		base, err := s.Scan(ctx, store.Page{At: oldest})
		if err != nil {
			t.Fatalf("scan at %d: %v", oldest, err)
		}
		for _, r := range base.Records {
			state[r.Key] = string(r.Value)
		}
	}
	w, err := s.Watch(ctx, "", oldest)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	defer w.Stop()
	seen, next, open := map[string]bool{}, oldest+1, 0
	for next <= newest {
		changes, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("watch at %d: %v", next, err)
		}
		for _, ch := range changes {
			if ch.Revision != next {
				t.Fatalf("change %d comes where %d is due", ch.Revision, next)
			}
			next++
			state[ch.Key] = string(ch.Value)
			commit, part, of := parseValue(t, string(ch.Value))
			if l.tried[commit] != of {
				t.Fatalf("change %d belongs to commit %s, which nobody made", ch.Revision, commit)
			}
			if part != open && ch.Revision != oldest+1 {
				t.Fatalf("change %d is part %d of %s, part %d is due", ch.Revision, part, commit, open)
			}
			if open = part + 1; open == of {
				open = 0
				if seen[commit] {
					t.Fatalf("commit %s came twice", commit)
				}
				seen[commit] = true
				if want, ok := acked[commit]; ok && want != ch.Revision {
					t.Fatalf("commit %s was acknowledged at %d and is at %d", commit, want, ch.Revision)
				}
				delete(byRevision, ch.Revision)
			}
		}
	}
	if open != 0 {
		t.Fatal("the last commit is not whole")
	}
	for rev, commit := range byRevision {
		if rev > oldest {
			t.Fatalf("acknowledged commit %s at %d is not among the changes", commit, rev)
		}
	}
	verifyState(t, s, state)
}

func verifyState(t *testing.T, s store.Store, want map[string]string) {
	t.Helper()
	got, err := s.Scan(t.Context(), store.Page{})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	for _, r := range got.Records {
		if want[r.Key] != string(r.Value) {
			t.Fatalf("%s = %.40q, the changes say %.40q", r.Key, r.Value, want[r.Key])
		}
	}
	if len(got.Records) != len(want) {
		t.Fatalf("%d keys, the changes say %d", len(got.Records), len(want))
	}
}

func parseValue(t *testing.T, value string) (commit string, part, of int) {
	t.Helper()
	if _, err := fmt.Sscanf(value, "%s %d/%d", &commit, &part, &of); err != nil {
		t.Fatalf("value %.40q: %v", value, err)
	}
	return commit, part, of
}

// TestPowerCuts cuts the power at random moments, some bytes and directory
// entries that were not synced surviving at random, and goes on from there.
func TestPowerCuts(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { powerCuts(t, seed) })
	}
}

func powerCuts(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewCrashableMem()
	log, revision := newTally(), store.Revision(0)
	for round := range 4 {
		e := openTest(t, Options{Dir: "store", FS: fs, MemTableSize: 64 << 10, KeepChanges: 400})
		if e.Revision() < revision {
			t.Fatalf("the revision went down from %d to %d", revision, e.Revision())
		}
		ctx, cancel := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for n := range 4 {
			name := fmt.Sprintf("%d.%d", round, n)
			workers.Go(func() { log.work(ctx, e, name, seed) })
		}
		cutAt := e.Revision() + store.Revision(1+rng.IntN(800))
		if err := e.WaitFor(ctx, cutAt); err != nil {
			t.Fatal(err)
		}
		acked := log.acknowledged()
		revision = e.Revision()
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		cancel()
		workers.Wait()
		e.Close()

		fs = after
		again := openTest(t, Options{Dir: "store", FS: fs, MemTableSize: 64 << 10, Keep: -1, KeepChanges: -1})
		log.verify(t, again, acked)
		if err := again.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		// What the crash took was never acknowledged; the next round counts
		// from what is there.
		log.acked = acked
	}
}
