package mutate

import (
	"slices"
	"testing"
)

func TestEachIsTheSameEachTime(t *testing.T) {
	run := func() []string {
		var out []string
		Each(t, 50, []string{`{"a":[1,2]}`, "x: y"}, func(_ *testing.T, text string) { out = append(out, text) })
		return out
	}
	first, again := run(), run()
	if len(first) != 50 || !slices.Equal(first, again) {
		t.Errorf("%d texts, then %d others", len(first), len(again))
	}
	slices.Sort(first)
	if distinct := len(slices.Compact(first)); distinct < 40 {
		t.Errorf("only %d are distinct", distinct)
	}
}
