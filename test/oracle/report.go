package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/knarr-io/knarr/test/oracle/campaign"
	"github.com/knarr-io/knarr/test/oracle/outcome"
)

// group is all differences that seem to have one cause.
type group struct {
	kind, endpoint, what, field, kindOfError string
}

// found is a group with its first case.
type found struct {
	group
	count  int
	number uint64
	sample outcome.Difference
}

// report gathers differences, and counts cases per kind.
type report struct {
	groups map[group]*found
	// known counts differences that stay, by kind and reason.
	known map[string]int
	kinds []tally
}

type tally struct {
	name            string
	cases, agreeing int
}

// add tells whether the case agrees but for what is known to differ.
func (r *report) add(kind string, c *campaign.Case) (agrees bool) {
	agrees = true
	for _, d := range c.Differences() {
		if why := known(kind, c, d); why != "" {
			r.known[kind+": "+why]++
			continue
		}
		agrees = false
		key := group{kind, c.Endpoint(), d.What, d.Field, d.Type}
		have := r.groups[key]
		if have == nil {
			have = &found{group: key, number: c.Number, sample: d}
			r.groups[key] = have
		}
		have.count++
	}
	return agrees
}

// write shows every group, the largest first, what is known to differ, and
// then a line per kind. It tells whether all agree but for that.
func (r *report) write(out io.Writer) bool {
	all := make([]*found, 0, len(r.groups))
	for _, f := range r.groups {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *found) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(b.count, a.count), cmp.Compare(a.number, b.number), cmp.Compare(a.field, b.field))
	})
	for _, f := range all {
		fmt.Fprintf(out, "%s %s: %s %s %s: %d cases, first -kind %s -case %d\n", f.kind, f.endpoint, f.what, f.field, f.kindOfError, f.count, f.kind, f.number)
		fmt.Fprintf(out, "    ours:   %s\n    theirs: %s\n", short(f.sample.Ours), short(f.sample.Theirs))
	}
	for _, why := range slices.Sorted(maps.Keys(r.known)) {
		fmt.Fprintf(out, "known, %d times: %s\n", r.known[why], why)
	}
	clean := true
	for _, k := range r.kinds {
		fmt.Fprintf(out, "%-60s %6d of %6d agree\n", k.name, k.agreeing, k.cases)
		clean = clean && k.agreeing == k.cases
	}
	return clean
}

func short(text string) string {
	const most = 300
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
