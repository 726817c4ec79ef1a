package eviction

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Reading is what was measured of a signal.
type Reading struct{ Available, Capacity int64 }

// State remembers since when thresholds are met and when conditions last had a
// cause. The zero value knows of none.
type State struct {
	met   []Threshold // by the step before
	since map[key]time.Time
	last  map[corev1.NodeConditionType]time.Time
}

// key is what makes a threshold another.
type key struct {
	signal Signal
	grace  time.Duration
}

func (t Threshold) key() key { return key{t.Signal, t.Grace} }

// Outcome is what a step found.
type Outcome struct {
	// Conditions that the node has, sorted.
	Conditions []corev1.NodeConditionType
	// Act are the thresholds to act on now, the most urgent first.
	Act []Threshold
	// Wake is when a threshold that is met now would be acted on; zero for never.
	Wake time.Time
}

// Step takes in readings. A signal that could not be read is taken as it was.
func (s *State) Step(c Config, readings map[Signal]Reading, now time.Time) Outcome {
	var met []Threshold
	for _, t := range c.Thresholds {
		r, read := readings[t.Signal]
		was := slices.ContainsFunc(s.met, func(o Threshold) bool { return o.key() == t.key() })
		if read && below(t, r, was) || !read && was {
			met = append(met, t)
		}
	}
	since := make(map[key]time.Time, len(met))
	var out Outcome
	for _, t := range met {
		first, known := s.since[t.key()]
		if !known {
			first = now
		}
		since[t.key()] = first
		if at := first.Add(t.Grace); now.Before(at) {
			if out.Wake.IsZero() || at.Before(out.Wake) {
				out.Wake = at
			}
			continue
		}
		out.Act = append(out.Act, t)
	}
	s.met, s.since = met, since
	out.Conditions = s.conditions(c, now)
	slices.SortStableFunc(out.Act, func(a, b Threshold) int {
		return slices.Index(Signals(), a.Signal) - slices.Index(Signals(), b.Signal)
	})
	return out
}

// below tells that too little is there; after a shortage, more has to be there
// than was too little before.
func below(t Threshold, r Reading, was bool) bool {
	least := t.Value.Of(r.Capacity)
	if was {
		least += t.Reclaim.Of(r.Capacity)
	}
	return r.Available < least
}

// conditions are those that have a cause, or had one not long ago.
func (s *State) conditions(c Config, now time.Time) []corev1.NodeConditionType {
	if s.last == nil {
		s.last = map[corev1.NodeConditionType]time.Time{}
	}
	for _, t := range s.met {
		s.last[t.Signal.Condition()] = now
	}
	var out []corev1.NodeConditionType
	for condition, at := range s.last {
		if at.Equal(now) || now.Sub(at) < c.Transition {
			out = append(out, condition)
		} else {
			delete(s.last, condition)
		}
	}
	slices.Sort(out)
	return out
}
