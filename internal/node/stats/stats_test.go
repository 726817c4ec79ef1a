package stats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRates(t *testing.T) {
	var r rates
	start := time.Unix(1_700_000_000, 0)
	if !r.stale(start) {
		t.Error("nothing is known, and yet it is young")
	}
	at := func(s float64, total uint64) uint64 {
		n := r.rate("", start.Add(time.Duration(s*float64(time.Second))), total)
		if n == nil {
			return 0
		}
		return *n
	}
	for _, step := range []struct {
		second float64
		total  uint64
		want   uint64
		why    string
	}{
		{0, 100, 0, "the first has nothing to compare with"},
		{0.25, 1_100, 4_000, "the second has, however close"},
		{1, 9_000, 4_000, "a rate stands for a while"},
		{10.25, 101_100, 10_000, "and is made anew after it"},
		{20, 5, 0, "a counter that went back began anew"},
		{30, 1_005, 100, "from where it began"},
		{300, 9_000_000, 0, "after a pause it says nothing"},
		{310, 9_001_000, 100, "until it is asked again"},
		{-3000, 9_002_000, 0, "nor when the clock was set back"},
		{-2990, 9_003_000, 100, "from where it is now"},
	} {
		if got := at(step.second, step.total); got != step.want {
			t.Errorf("at %v s: %d, want %d: %s", step.second, got, step.want, step.why)
		}
	}
	if !r.stale(start.Add(-2 * time.Hour)) {
		t.Error("an hour before it, by a clock that was set back, it is young")
	}
	if !r.stale(start.Add(time.Hour)) {
		t.Error("an hour later it is still young")
	}
}

func TestTraffic(t *testing.T) {
	const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    2000      20    1    2    0     0          0         0     3000      30    3    4    0     0       0          0
 short:  1
`
	want := []traffic{{name: "eth0", receive: counters{2000, 20, 1, 2}, transmit: counters{3000, 30, 3, 4}}}
	if diff := cmp.Diff(want, parseTraffic(table), cmp.AllowUnexported(traffic{}, counters{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
