package autoscaler

import (
	"slices"
	"time"
)

// remember is how long anything of the past can count: the longest
// stabilization window that the API takes.
const remember = time.Hour

// recommendation is what the metrics asked for at a time.
type recommendation struct {
	replicas int32
	at       time.Time
}

// change is a written scale: by how many, and when.
type change struct {
	by int32 // negative for fewer
	at time.Time
}

// history is what was recommended and done of late. It is a value: its
// methods return another one and leave their receiver as it is.
type history struct {
	recommended []recommendation
	changes     []change
}

// begun counts the current number as recommended where nothing is known.
func (h history) begun(current int32, now time.Time) history {
	if len(h.recommended) > 0 {
		return h
	}
	return h.recommends(current, now)
}

func (h history) recommends(replicas int32, now time.Time) history {
	kept := slices.DeleteFunc(slices.Clone(h.recommended), func(r recommendation) bool { return now.Sub(r.at) > remember })
	h.recommended = append(kept, recommendation{replicas, now})
	return h
}

func (h history) changed(from, to int32, now time.Time) history {
	kept := slices.DeleteFunc(slices.Clone(h.changes), func(c change) bool { return now.Sub(c.at) > remember })
	h.changes = append(kept, change{to - from, now})
	return h
}

// start is the number at the beginning of a period that ends now.
func (h history) start(current int32, seconds int32, now time.Time) int64 {
	out := int64(current)
	for _, c := range h.changes {
		if now.Sub(c.at) < time.Duration(seconds)*time.Second {
			out -= int64(c.by)
		}
	}
	return out
}
