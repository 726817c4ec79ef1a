package footprint

import (
	"runtime/debug"
	"runtime/metrics"
)

const (
	// room is the garbage that a busy heap may hold, in bytes, within the bounds
	// below. By Go's own measure, as much as is in use, a small and busy heap is
	// collected dozens of times a second, each time at the cost of all in use.
	room = 64 << 20
	// usual is Go's measure in per cent of what is in use. While a process is busy
	// least and most bound it: of a large heap, what was garbage once lies between
	// what stays, and is not given back.
	usual, least, most = 100, 60, 400
)

// pacer sets how much garbage there may be. It belongs to one goroutine.
type pacer struct {
	percent int // as it was set last; zero: somebody chose another by GOGC
}

func newPacer() *pacer {
	if read("/gc/gogc:percent") != usual {
		return &pacer{}
	}
	return &pacer{percent: usual}
}

// pace makes room for the garbage of a busy process, and takes it from a quiet
// one. Where memory is limited (GOMEMLIMIT) the runtime keeps to that.
func (p *pacer) pace(busy bool) {
	want := usual
	if busy {
		want = percentFor(read("/gc/heap/live:bytes"))
	}
	if p.percent == 0 || near(want, p.percent) {
		return
	}
	p.percent = want
	debug.SetGCPercent(want)
}

// percentFor is how far a heap with so much in use may grow.
func percentFor(live uint64) int {
	return int(min(max(100*room/max(live, 1), least), most))
}

// near tells that one setting will do for the other: setting it stops the
// program for a moment.
func near(want, have int) bool {
	return want == have || want != usual && 8*max(want-have, have-want) < have
}

func read(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
