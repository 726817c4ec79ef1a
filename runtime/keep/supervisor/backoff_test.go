package supervisor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackoff(t *testing.T) {
	ms := time.Millisecond
	for _, tc := range []struct {
		name  string
		lives []time.Duration
		want  []time.Duration
	}{
		{"doubles to the bound", []time.Duration{0, 0, 0, 0, 0}, []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 500 * ms}},
		{"a long life starts over", []time.Duration{0, 0, 31 * time.Second, 0}, []time.Duration{0, 100 * ms, 0, 100 * ms}},
		{"a short life does not", []time.Duration{0, 29 * time.Second}, []time.Duration{0, 100 * ms}},
	} {
		b := backoff{min: 100 * ms, max: 500 * ms}
		var got []time.Duration
		for _, life := range tc.lives {
			got = append(got, b.crashed(life))
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}
