package supervisor

import (
	"slices"
	"testing"
	"time"
)

// life is how long a program lived, and whether SIGKILL ended it.
type life struct {
	lived  time.Duration
	killed bool
}

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name  string
		lives []life
		want  []time.Duration
	}{
		{"crashes at once double the pause", []life{{}, {}, {}, {}, {}}, []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 500 * ms}},
		{"the pause counts from the start", []life{{lived: 30 * ms}, {lived: 30 * ms}, {lived: 150 * ms}, {lived: 600 * ms}}, []time.Duration{0, 70 * ms, 50 * ms, 0}},
		{"a long life starts over", []life{{}, {}, {lived: time.Minute}, {}}, []time.Duration{0, 100 * ms, 0, 100 * ms}},
		{"a kill from outside is no crash", []life{{time.Second, true}, {time.Second, true}, {2 * time.Second, true}, {}, {}}, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{"killed at its start, it is held back", []life{{10 * ms, true}, {10 * ms, true}, {10 * ms, true}}, []time.Duration{0, 90 * ms, 190 * ms}},
	} {
		b := backoff{min: 100 * ms, max: 500 * ms}
		var got []time.Duration
		for _, l := range test.lives {
			got = append(got, b.ended(l.lived, l.killed))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
