package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// fitError says why no node took a pod, in the words that users know.
type fitError struct {
	nodes   int
	reasons map[string]int // nodes by reason
	plugins map[string]bool
	failed  string // a plugin failed: its error
}

// failAll is a failure that concerns every node alike.
func failAll(nodes int, st *framework.Status) *fitError {
	f := &fitError{nodes: nodes}
	if st.Is(framework.Error) {
		f.failed = fmt.Sprintf("running plugin %q: %s", st.Plugin, strings.Join(st.Reasons, ", "))
		return f
	}
	f.plugins = map[string]bool{st.Plugin: true}
	f.reasons = map[string]int{}
	for _, r := range st.Reasons {
		f.reasons[r] = nodes
	}
	return f
}

func (f *fitError) add(st *framework.Status) {
	if f.reasons == nil {
		f.reasons, f.plugins = map[string]int{}, map[string]bool{}
	}
	if st.Is(framework.Error) && f.failed == "" {
		f.failed = fmt.Sprintf("running %q filter plugin: %s", st.Plugin, strings.Join(st.Reasons, ", "))
	}
	for _, r := range st.Reasons {
		f.reasons[r]++
	}
	f.plugins[st.Plugin] = true
}

// Error is the text of the FailedScheduling event.
func (f *fitError) Error() string {
	switch {
	case f.failed != "":
		return f.failed
	case f.nodes == 0:
		return "no nodes available to schedule pods"
	}
	var parts []string
	for reason, n := range f.reasons {
		parts = append(parts, fmt.Sprintf("%d %s", n, reason))
	}
	slices.Sort(parts)
	out := fmt.Sprintf("0/%d nodes are available", f.nodes)
	if len(parts) > 0 {
		out += ": " + strings.Join(parts, ", ") + "."
	}
	return out
}

// rejecters are the plugins that said no.
func (f *fitError) rejecters(p *profile) []framework.Plugin {
	var out []framework.Plugin
	for name := range f.plugins {
		if plugin := p.byName(name); plugin != nil {
			out = append(out, plugin)
		}
	}
	return out
}
