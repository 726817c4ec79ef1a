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
	// before is the reason for which no node was asked.
	before *framework.Status
	// statuses are the nodes' answers, by Index.
	statuses []*framework.Status
	told     int    // nodes that have an answer
	absent   string // the reason of the other nodes, if not empty
	post     string // what preemption has to say
}

// of is a node's answer.
func (f *fitError) of(n *framework.Node) *framework.Status {
	if f.before != nil {
		return f.before
	}
	if n.Index < len(f.statuses) {
		return f.statuses[n.Index]
	}
	return nil
}

// refused is the failure of a pod that no node takes: each has its answer, by
// Index. Equal ones that follow each other are counted at once.
func refused(statuses []*framework.Status) *fitError {
	f := &fitError{nodes: len(statuses), statuses: statuses}
	for i := 0; i < len(statuses); {
		next := i + 1
		for next < len(statuses) && statuses[next] == statuses[i] {
			next++
		}
		if statuses[i] != nil {
			f.add(statuses[i], next-i)
		}
		i = next
	}
	return f
}

// failAll is a failure that concerns every node alike.
func failAll(nodes int, st *framework.Status) *fitError {
	f := &fitError{nodes: nodes}
	if st.Is(framework.Error) {
		f.failed = fmt.Sprintf("running plugin %q: %s", st.Plugin, strings.Join(st.Reasons, ", "))
		return f
	}
	f.plugins = map[string]bool{st.Plugin: true}
	f.before = st
	return f
}

// add counts an answer of so many nodes.
func (f *fitError) add(st *framework.Status, nodes int) {
	if f.reasons == nil {
		f.reasons, f.plugins = map[string]int{}, map[string]bool{}
	}
	if st.Is(framework.Error) && f.failed == "" {
		f.failed = fmt.Sprintf("running %q filter plugin: %s", st.Plugin, strings.Join(st.Reasons, ", "))
	}
	for _, r := range st.Reasons {
		f.reasons[r] += nodes
	}
	f.plugins[st.Plugin] = true
	f.told += nodes
}

// Error is the text of the FailedScheduling event.
func (f *fitError) Error() string {
	switch {
	case f.failed != "":
		return f.failed
	case f.nodes == 0:
		return "no nodes available to schedule pods"
	}
	out := fmt.Sprintf("0/%d nodes are available:", f.nodes)
	if reasons := f.histogram(); reasons != "" {
		out += " " + reasons + "."
	}
	if f.post != "" {
		out += " " + f.post
	}
	return out
}

// histogram is the reasons with the number of nodes that gave each.
func (f *fitError) histogram() string {
	if f.before != nil {
		return strings.Join(f.before.Reasons, ", ")
	}
	var parts []string
	for reason, n := range f.reasons {
		parts = append(parts, fmt.Sprintf("%d %s", n, reason))
	}
	if f.absent != "" && f.told < f.nodes {
		parts = append(parts, fmt.Sprintf("%d %s", f.nodes-f.told, f.absent))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
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
