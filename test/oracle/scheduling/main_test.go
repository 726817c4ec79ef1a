package main

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// A few hundred clusters, always the same ones; `make oracle` tries more.
func TestPluginsAgreeWithUpstream(t *testing.T) {
	klog.SetLogger(logr.Discard())
	var out strings.Builder
	clean, err := run(t.Context(), 300, 1, -1, &out)
	if err != nil {
		t.Fatal(err)
	}
	if !clean {
		t.Error(out.String())
	}
}

func TestDifferencesAreSeen(t *testing.T) {
	want := map[string]verdict{"a": {Fits: true, Scores: map[string]int64{"ImageLocality": 3}}, "b": {Plugin: "NodePorts", Why: []string{"p"}}, "c": {Fits: true}}
	got := map[string]verdict{"a": {Fits: true, Scores: map[string]int64{"ImageLocality": 2}}, "b": {Plugin: "NodePorts", Why: []string{"q"}}, "c": {Plugin: "NodeName"}}
	if kinds := strings.Join(kindsOf(compare(want, got)), ", "); kinds != "feasible NodeName, reason NodePorts, score ImageLocality" {
		t.Error(kinds)
	}
	if found := compare(want, want); len(found) > 0 {
		t.Error(found)
	}
}
