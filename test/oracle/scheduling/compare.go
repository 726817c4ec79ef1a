package main

import (
	"fmt"
	"maps"
	"slices"
)

// difference is one point in which the two schedulers do not agree.
type difference struct{ kind, node, theirs, ours string }

func (d difference) String() string {
	return fmt.Sprintf("%s on %s: upstream %s, knarr %s", d.kind, d.node, d.theirs, d.ours)
}

func kindsOf(found []difference) []string {
	kinds := map[string]bool{}
	for _, d := range found {
		kinds[d.kind] = true
	}
	return slices.Sorted(maps.Keys(kinds))
}

// compare gives the differences, by node.
func compare(want, got map[string]verdict) []difference {
	var out []difference
	quiet := silent(want, got)
	for _, node := range slices.Sorted(maps.Keys(want)) {
		w, g := want[node], got[node]
		switch {
		case w.Fits != g.Fits:
			out = append(out, difference{"feasible " + w.Plugin + g.Plugin, node, w.say(), g.say()})
		case !w.Fits && w.Plugin != "" && (w.Plugin != g.Plugin || !slices.Equal(slices.Sorted(slices.Values(w.Why)), slices.Sorted(slices.Values(g.Why)))):
			out = append(out, difference{"reason " + w.Plugin, node, w.say(), g.say()})
		case w.Fits:
			out = append(out, compareScores(node, w.Scores, g.Scores, quiet)...)
		}
	}
	return out
}

func (v verdict) say() string {
	if v.Fits {
		return "takes it"
	}
	return fmt.Sprintf("refuses it by %s %q", v.Plugin, v.Why)
}

// silent are the plugins that ours leaves out of this attempt, since they would
// give every node the same, as upstream's do: the choice does not depend on it.
func silent(want, got map[string]verdict) map[string]bool {
	out := map[string]bool{}
	for plugin := range compared {
		scores, told := map[int64]bool{}, false
		for node, w := range want {
			if w.Fits {
				scores[w.Scores[plugin]] = true
				_, says := got[node].Scores[plugin]
				told = told || says
			}
		}
		out[plugin] = len(scores) <= 1 && !told
	}
	return out
}

// compareScores takes a plugin that says nothing for one that gives nothing.
func compareScores(node string, want, got map[string]int64, quiet map[string]bool) []difference {
	var out []difference
	for _, plugin := range slices.Sorted(maps.Keys(compared)) {
		if want[plugin] != got[plugin] && !quiet[plugin] {
			out = append(out, difference{"score " + plugin, node, fmt.Sprint(want[plugin]), fmt.Sprint(got[plugin])})
		}
	}
	return out
}
