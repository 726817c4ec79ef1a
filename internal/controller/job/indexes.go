package job

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// span is a run of indexes, both ends included.
type span struct{ first, last int }

// indexes is a set: ordered spans that do not touch.
type indexes []span

// parse reads a set as a status writes it ("1,3-5"), leaving out indexes from
// limit on and what cannot be read.
func parse(text string, limit int) indexes {
	var out []span
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil || from < 0 {
			continue
		}
		to := from
		if isRange {
			if to, err = strconv.Atoi(last); err != nil {
				continue
			}
		}
		if to = min(to, limit-1); from <= to {
			out = append(out, span{from, to})
		}
	}
	return joined(out)
}

// joined orders spans and puts those together that touch.
func joined(spans []span) indexes {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	var out indexes
	for _, s := range spans {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// with is the set and further indexes.
func (x indexes) with(more []int) indexes {
	if len(more) == 0 {
		return x
	}
	spans := slices.Clone(x)
	for _, i := range more {
		spans = append(spans, span{i, i})
	}
	return joined(spans)
}

func (x indexes) has(i int) bool {
	n, found := slices.BinarySearchFunc(x, i, func(s span, i int) int { return cmp.Compare(s.first, i) })
	return found || n > 0 && i <= x[n-1].last
}

func (x indexes) total() int {
	n := 0
	for _, s := range x {
		n += s.last - s.first + 1
	}
	return n
}

// String writes the set in the form of a status: pairs with a comma, longer
// runs with a dash.
func (x indexes) String() string {
	var b strings.Builder
	for i, s := range x {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(s.first))
		switch {
		case s.last == s.first+1:
			b.WriteByte(',')
		case s.last > s.first:
			b.WriteByte('-')
		default:
			continue
		}
		b.WriteString(strconv.Itoa(s.last))
	}
	return b.String()
}
