package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sample = `<?xml version="1.0"?>
<testsuites tests="5" failures="2">
  <testsuite name="Kubernetes e2e suite" time="61.5">
    <testcase name="[SynchronizedBeforeSuite]" status="passed" time="0.2"></testcase>
    <testcase name="[It] [sig-node] Pods should run [Conformance] [sig-node, NodeConformance, Conformance]" status="passed" time="2.5"></testcase>
    <testcase name="[It] [sig-node] Pods should | fail [Conformance]" status="failed" time="3">
      <failure message="expected&#xA;   nothing" type="failed">at pods.go:7</failure>
    </testcase>
    <testcase name="[It] [sig-cli] kubectl should break [Conformance]" status="panicked" time="1">
      <error message="boom" type="panicked">trace</error>
    </testcase>
    <testcase name="[It] [sig-network] Services not chosen" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
    <testcase name="[It] [sig-network] Services need a cloud" status="skipped" time="0.3"><skipped message="skipped - no cloud"></skipped></testcase>
  </testsuite>
</testsuites>`

func TestParseReport(t *testing.T) {
	r, err := parseReport([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	want := []result{
		{Name: "[sig-cli] kubectl should break [Conformance]", SIG: "cli", Took: time.Second, Cause: "boom"},
		{Name: "[sig-network] Services need a cloud", SIG: "network", Skipped: true, Took: 300 * time.Millisecond, Cause: "skipped - no cloud"},
		{Name: "[sig-node] Pods should run [Conformance]", SIG: "node", Passed: true, Took: 2500 * time.Millisecond},
		{Name: "[sig-node] Pods should | fail [Conformance]", SIG: "node", Took: 3 * time.Second, Cause: "expected nothing"},
	}
	if d := cmp.Diff(want, r.results); d != "" {
		t.Error(d)
	}
	if r.took != 61500*time.Millisecond || len(r.sha256) != 64 {
		t.Errorf("took %s, hash %q", r.took, r.sha256)
	}
	if !strings.Contains(r.summary(), "1 of 4 passed, 2 failed, 1 skipped") {
		t.Error(r.summary())
	}
}

func TestRenderNamesEveryFailure(t *testing.T) {
	r, err := parseReport([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	page := r.render("abc123", options{procs: 16, nodes: 2})
	for _, want := range []string{
		"| score | **1 of 4** |", "| commit | abc123 |", "| node | 1 | 1 | 0 |", "| network | 0 | 0 | 1 |",
		`| [sig-node] Pods should \| fail [Conformance] | expected nothing |`, "kubectl should break", "## Skipped by themselves", r.sha256,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestCritestTellsItsVersion(t *testing.T) {
	for out, want := range map[string]string{
		"critest version: 1.36.0\nPASS\n": "1.36.0",
		"v1.36.0-dirty":                   "v1.36.0-dirty",
		"":                                "",
	} {
		if got := versionIn(out); got != want {
			t.Errorf("of %q the version is %q, want %q", out, got, want)
		}
	}
}
