package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// score counts the cases of one SIG, or all.
type score struct{ passed, failed, skipped int }

func (s *score) add(r result) {
	switch {
	case r.Passed:
		s.passed++
	case r.Skipped:
		s.skipped++
	default:
		s.failed++
	}
}

func (s score) total() int { return s.passed + s.failed + s.skipped }

// scores are by SIG, and of all.
func (r report) scores() (bySIG map[string]*score, all score) {
	bySIG = map[string]*score{}
	for _, res := range r.results {
		if bySIG[res.SIG] == nil {
			bySIG[res.SIG] = &score{}
		}
		bySIG[res.SIG].add(res)
		all.add(res)
	}
	return bySIG, all
}

// summary is for the person who waits: the score and every failure.
func (r report) summary() string {
	var b strings.Builder
	_, all := r.scores()
	for _, res := range r.results {
		if !res.Passed && !res.Skipped {
			fmt.Fprintf(&b, "FAILED %s\n    %s\n", res.Name, res.Cause)
		}
	}
	fmt.Fprintf(&b, "%d of %d passed, %d failed, %d skipped, in %s\n", all.passed, all.total(), all.failed, all.skipped, r.took.Round(time.Second))
	return b.String()
}

// render is the report as docs/conformance.md has it.
func (r report) render(commit string, o options) string {
	var b strings.Builder
	bySIG, all := r.scores()
	fmt.Fprintf(&b, `# Conformance

Upstream's own e2e suite of Kubernetes %s, every case that it calls [Conformance], against a cluster of %d nodes that the run made. `+"`make conformance`"+`
makes this page; nobody edits it by hand.

| | |
|---|---|
| score | **%d of %d** |
| commit | %s |
| command | `+"`make conformance PROCS=%d NODES=%d`"+` |
| time | %s |
| SHA-256 of the JUnit report | %s |

| SIG | passed | failed | skipped |
|---|---|---|---|
`, suiteVersion, o.nodes, all.passed, all.total(), commit, o.procs, o.nodes, r.took.Round(time.Second), r.sha256)
	for _, name := range slices.Sorted(maps.Keys(bySIG)) {
		s := bySIG[name]
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", name, s.passed, s.failed, s.skipped)
	}
	r.list(&b, "Failed", func(res result) bool { return !res.Passed && !res.Skipped })
	r.list(&b, "Skipped by themselves", func(res result) bool { return res.Skipped })
	return b.String()
}

// renderCritest is the report as docs/critest.md has it.
func (r report) renderCritest(commit, version string) string {
	var b strings.Builder
	_, all := r.scores()
	failed, skipped := r.excused()
	excused := failed + skipped
	fmt.Fprintf(&b, `# critest

The validation suite of kubernetes-sigs/cri-tools against `+"`knarr-runtime`, without a cluster. `make critest CRITEST=path`"+` makes this page; nobody edits it by hand.

| | |
|---|---|
| passed | **%d of %d** |
| failed | %d |
| cannot pass on the machine of the run | %d |
| skipped by themselves | %d |
| commit | %s |
| critest | %s |
| time | %s |
| SHA-256 of the JUnit report | %s |
`, all.passed, all.total(), all.failed-failed, excused, all.skipped-skipped, commit, cell(version), r.took.Round(time.Second), r.sha256)
	r.list(&b, "Failed", func(res result) bool { return !res.Passed && !res.Skipped && limitOf(res.Name) == "" })
	if excused > 0 {
		fmt.Fprint(&b, "\n## Cannot pass on the machine of the run\n\n| case | why |\n|---|---|\n")
	}
	for _, res := range r.results {
		if why := limitOf(res.Name); why != "" && !res.Passed {
			fmt.Fprintf(&b, "| %s | %s |\n", cell(res.Name), why)
		}
	}
	r.list(&b, "Skipped by themselves", func(res result) bool { return res.Skipped && limitOf(res.Name) == "" })
	return b.String()
}

// excused counts the cases that a limit of the machine explains.
func (r report) excused() (failed, skipped int) {
	for _, res := range r.results {
		switch {
		case res.Passed || limitOf(res.Name) == "":
		case res.Skipped:
			skipped++
		default:
			failed++
		}
	}
	return failed, skipped
}

// list writes a section of the cases that match, or nothing without any.
func (r report) list(b *strings.Builder, title string, match func(result) bool) {
	begun := false
	for _, res := range r.results {
		if !match(res) {
			continue
		}
		if !begun {
			fmt.Fprintf(b, "\n## %s\n\n| case | what it said |\n|---|---|\n", title)
			begun = true
		}
		fmt.Fprintf(b, "| %s | %s |\n", cell(res.Name), cell(res.Cause))
	}
}

// cell makes text fit for a table: what Markdown would take for its own is
// marked.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "\n", " ", "`", "'", "*", `\*`, "_", `\_`).Replace(text)
}
