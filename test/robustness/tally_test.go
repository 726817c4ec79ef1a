package robustness

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/knarr-io/knarr/test/robustness/history"
)

// tally is what a run has done so far.
type tally struct {
	begun     time.Time
	rounds    int
	crashes   int
	failures  int // the server ended on a full disk, or did not start
	faults    map[kind]int
	outcomes  map[history.Outcome]int
	writes    int // acknowledged
	events    int
	streams   int
	listings  int
	revisions uint64
	starts    []time.Duration // until the server answered again
}

func newTally() *tally {
	return &tally{begun: time.Now(), faults: map[kind]int{}, outcomes: map[history.Outcome]int{}}
}

// add adds a round that is over.
func (t *tally) add(r *round) {
	t.rounds++
	for _, op := range r.history.Operations {
		t.outcomes[op.Outcome]++
		if op.Outcome == history.Done && op.Verb != history.Get {
			t.writes++
		}
	}
	for _, s := range r.history.Streams {
		t.events += len(s.Events)
	}
	t.streams += len(r.history.Streams)
	t.listings += len(r.history.Listings)
	t.revisions = r.revisions.newest()
}

func (t *tally) line() string {
	return fmt.Sprintf("%d crashes, %d writes acknowledged, %d requests lost, %d events; %s", t.crashes, t.writes, t.outcomes[history.Lost], t.events, time.Since(t.begun).Round(time.Second))
}

// quantile of the times until the server answered.
func (t *tally) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(t.starts))
	return sorted[int(q*float64(len(sorted)-1))].Round(time.Millisecond)
}

// Marks of the part of the page that a run writes.
const (
	beginMark = "<!-- figures of the last run: written by make robustness -->"
	endMark   = "<!-- end of the figures -->"
)

// report writes the run into the page, where one is named.
func (t *tally) report(page string, seed uint64) error {
	if page == "" {
		return nil
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !ok || !ended {
		return fmt.Errorf("%s has no %s and %s", page, beginMark, endMark)
	}
	return os.WriteFile(page, []byte(before+beginMark+"\n"+t.table(seed)+endMark+after), 0o644)
}

func (t *tally) table(seed uint64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n`make robustness SEED=%d CRASHES=%d`, in %s: no violation.\n\n| what | how often |\n|---|---|\n", seed, t.crashes, time.Since(t.begun).Round(time.Second))
	row := func(what string, n any) { fmt.Fprintf(&b, "| %s | %v |\n", what, n) }
	row("crashes (processes killed)", t.crashes)
	for _, k := range slices.Sorted(maps.Keys(t.faults)) {
		row("fault: "+string(k), t.faults[k])
	}
	row("starts that failed, or ends of the server, with a full disk", t.failures)
	row("writes acknowledged", t.writes)
	for _, o := range slices.Sorted(maps.Keys(t.outcomes)) {
		row("requests: "+string(o), t.outcomes[o])
	}
	row("lists compared", t.listings)
	row("watches compared", t.streams)
	row("events compared", t.events)
	row("revisions written", t.revisions)
	row("until the server answers again: median, 99 %, longest", fmt.Sprintf("%s, %s, %s", t.quantile(0.5), t.quantile(0.99), t.quantile(1)))
	b.WriteString("\n")
	return b.String()
}
