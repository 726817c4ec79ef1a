package ecosystem

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger collects what was held against which operator, in the order of the
// run. It is safe for concurrent use.
type ledger struct {
	mu   sync.Mutex
	rows []row // guarded by mu
}

// row is one expectation and what came of it.
type row struct {
	operator, expectation string
	passed                bool
	took                  time.Duration
}

// expect runs one expectation of an operator as a subtest, which ends the test
// where it fails: the later ones build on it.
func expect(t *testing.T, operator, expectation string, f func(t *testing.T)) {
	t.Helper()
	start := time.Now()
	passed := t.Run(strings.ReplaceAll(expectation, " ", "_"), f)
	results.add(row{operator, expectation, passed, time.Since(start)})
	if !passed {
		t.FailNow()
	}
}

func (l *ledger) add(r row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, r)
}

// write makes the page of the results.
func (l *ledger) write(path string, took time.Duration) error {
	commit, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=, with changes").Output()
	if err != nil {
		return fmt.Errorf("find the commit: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return os.WriteFile(path, []byte(render(l.rows, strings.TrimSpace(string(commit)), took)), 0o644)
}

func render(rows []row, commit string, took time.Duration) string {
	var b strings.Builder
	passed := 0
	for _, r := range rows {
		if r.passed {
			passed++
		}
	}
	fmt.Fprintf(&b, `# Ecosystem

Operators that other people wrote, built from their Go modules and run as pods with their own manifests or charts on a cluster of two nodes.
`+"`make ecosystem`"+` makes this page; nobody edits it by hand. How it works: the package comment of test/ecosystem.

| | |
|---|---|
| expectations held | **%d of %d** |
| commit | %s |
| time | %s |

| operator | what is expected | result | time |
|---|---|---|---|
`, passed, len(rows), commit, took.Round(time.Second))
	for _, r := range rows {
		result := "**failed**"
		if r.passed {
			result = "held"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.operator, r.expectation, result, r.took.Round(100*time.Millisecond))
	}
	return b.String()
}

// The page counts what was held and names what was not.
func TestLedger(t *testing.T) {
	page := render([]row{{"a 1", "it starts", true, time.Second}, {"a 1", "it works", false, 2 * time.Second}}, "cafe", time.Minute)
	for _, want := range []string{"**1 of 2**", "| cafe |", "| a 1 | it starts | held | 1s |", "| a 1 | it works | **failed** | 2s |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
