package batch

import (
	"fmt"
	"strconv"
	"strings"
)

// countIndexes counts the indexes of a list such as "1,3-5", which must rise
// and stay below completions.
func countIndexes(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	var total, last int32 = 0, -1
	for part := range strings.SplitSeq(text, ",") {
		from, to, err := interval(part, completions)
		if err != nil {
			return 0, err
		}
		if from <= last {
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", last, from)
		}
		last = to
		total += to - from + 1
	}
	return total, nil
}

func interval(part string, completions int32) (from, to int32, err error) {
	first, second, isRange := strings.Cut(part, "-")
	if from, err = index(first, part, completions); err != nil || !isRange {
		return from, from, err
	}
	if strings.Contains(second, "-") {
		return 0, 0, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", part)
	}
	if to, err = index(second, part, completions); err != nil {
		return 0, 0, err
	}
	if from >= to {
		return 0, 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", from, to)
	}
	return from, to, nil
}

func index(text, part string, completions int32) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if int32(n) >= completions {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}
