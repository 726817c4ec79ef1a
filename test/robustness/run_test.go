package robustness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/robustness/history"
)

// roundCrashes is how many crashes a round has at most.
const roundCrashes = 25

// TestCrashes is the run. What it finds is written into a folder that stays.
func TestCrashes(t *testing.T) {
	run, err := newRun(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.close)
	t.Logf("seed %d", *seed)
	for number := 0; run.tally.crashes < *crashes; number++ {
		n := min(roundCrashes, max(*crashes/2, 1), *crashes-run.tally.crashes)
		r := newRound(*seed, number)
		if err := run.round(t.Context(), r, n); err != nil {
			r.notes.add("%v", err)
		}
		verdict := r.history.Check()
		verdict.Violations = append(verdict.Violations, r.notes.all()...)
		if len(verdict.Violations) > 0 {
			dir := run.keep(t, r, verdict)
			for _, v := range verdict.Violations[:min(len(verdict.Violations), 20)] {
				t.Errorf("round %d: %s", number, v)
			}
			t.Fatalf("round %d: %d violations; its history lies in %s", number, len(verdict.Violations), dir)
		}
		run.tally.add(r)
		fmt.Printf("robustness: seed %d, round %d: %s\n", *seed, number, run.tally.line())
	}
	panics, err := run.server.panics()
	if err != nil {
		t.Error(err)
	}
	for _, p := range panics {
		t.Error(p)
	}
	if err := run.tally.report(*report, *seed); err != nil {
		t.Error(err)
	}
}

// run is a server through all rounds.
type run struct {
	server *server
	tally  *tally
	admin  *api
}

// newRun starts a server on a disk of its own.
func newRun(ctx context.Context, dir string) (r *run, err error) {
	d, err := mountDisk(filepath.Join(dir, "disk"))
	if err != nil {
		return nil, err
	}
	r = &run{tally: newTally()}
	if r.server, err = newServer(*knarr, dir, d); err != nil {
		return nil, errors.Join(err, d.unmount())
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := r.server.launch(); err != nil {
		return nil, err
	}
	if err := r.server.credentials(ctx); err != nil {
		return nil, err
	}
	r.admin, err = r.connect(true)
	return r, err
}

func (r *run) connect(http2 bool) (*api, error) {
	return newAPI(r.server.kubeconfig(), r.server.address, http2)
}

func (r *run) close() {
	r.server.close()
	_ = r.server.disk.unmount()
}

// round does one round.
func (r *run) round(ctx context.Context, now *round, crashes int) error {
	s := &striker{server: r.server, api: r.admin, notes: &now.notes, count: &now.answered, tally: r.tally}
	if err := s.back(ctx); err != nil {
		return err
	}
	if err := now.prepare(ctx, r.admin); err != nil {
		return err
	}
	c, err := now.work(ctx, r.connect)
	if err != nil {
		return err
	}
	defer c.end()
	faults := plan(now.random(1000), crashes)
	for _, f := range faults[:len(faults)-1] {
		if err := s.strike(ctx, f); err != nil {
			return err
		}
	}
	// The last kill ends what the clients have left under way.
	if err := s.count.more(ctx, faults[len(faults)-1].after); err != nil {
		return err
	}
	if err := s.kill(ctx); err != nil {
		return err
	}
	c.end()
	if err := s.back(ctx); err != nil {
		return err
	}
	return now.finish(ctx, r.admin, c.followers)
}

// keep writes down what is needed to understand a failure.
func (r *run) keep(t *testing.T, now *round, v history.Verdict) string {
	t.Helper()
	dir := filepath.Join(*results, fmt.Sprintf("seed-%d-round-%d", *seed, now.number))
	write := func(name string, to func(io.Writer) error) {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = errors.Join(to(f), f.Close())
		}
		if err != nil {
			t.Errorf("write %s: %v", name, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write("history.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(now.history) })
	write("violations.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(v.Violations) })
	if v.Drawing != nil {
		write("requests.html", v.Drawing)
	}
	write("server.log", func(w io.Writer) error {
		f, err := os.Open(r.server.log.Name())
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
	return dir
}

// credentials waits for the administrator's, which the first start writes.
func (s *server) credentials(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		_, err := os.Stat(s.kubeconfig())
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !s.alive() {
			return fmt.Errorf("the server wrote no credentials: %w", err)
		}
		linger(ctx, 20*time.Millisecond)
	}
}
