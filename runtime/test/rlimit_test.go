package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// limit finds soft and hard of a limit in what /proc/PID/limits shows.
func limit(shown, name string) string {
	for line := range strings.Lines(shown) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.Join(strings.Fields(rest)[:2], " ")
		}
	}
	return "none"
}

// Processes of containers have the limits that the settings say, also those
// that are started later, and the runtime's own where those say nothing.
func TestRlimits(t *testing.T) {
	n := newNode(t, func(n *node) {
		file := n.path("config.json")
		if err := os.WriteFile(file, []byte(`{"rlimits":{"nofile":{"soft":512,"hard":4096},"locks":{"soft":100,"hard":200},"core":{"soft":0,"hard":65536}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		n.settings = []string{"--config", file}
	})
	n.load()
	p := n.runPod("limits", nil)
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", n.runtimeProcess().PID))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Max core file size": "0 65536", "Max file locks": "100 200", "Max open files": " 4096", // Go raises its own soft one
		"Max stack size": limit(string(own), "Max stack size"), "Max processes": limit(string(own), "Max processes")}
	id := p.run("main", []string{"cat", "/proc/self/limits"}, nil)
	n.ended(id)
	first := n.log(id, "stdout")
	later, _ := n.exec(p.run("waits", []string{"wait"}, nil), "cat", "/proc/self/limits")
	for what, shown := range map[string]string{"a container's program": first, "what is run in it": later} {
		for name, wanted := range want {
			if got := limit(shown, name); !strings.HasSuffix(got, wanted) {
				t.Errorf("%s: %s %s, want %s", what, name, got, wanted)
			}
		}
	}
}
