package measure

import (
	"slices"
	"time"
)

// Span is a time from a beginning to an end.
type Span struct{ From, To time.Time }

// covered is how much of the time between two moments the spans cover
// together; they may overlap.
func covered(spans []Span, from, to time.Time) time.Duration {
	sorted := slices.Clone(spans)
	slices.SortFunc(sorted, func(a, b Span) int { return a.From.Compare(b.From) })
	var sum time.Duration
	at := from
	for _, s := range sorted {
		begin, end := s.From, s.To
		if begin.Before(at) {
			begin = at
		}
		if end.After(to) {
			end = to
		}
		if end.After(begin) {
			sum += end.Sub(begin)
			at = end
		}
	}
	return sum
}
