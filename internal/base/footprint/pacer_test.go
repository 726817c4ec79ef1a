package footprint

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 16 << 20: 400, 32 << 20: 200, 64 << 20: 100, 80 << 20: 80, 1 << 40: 60} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", live, got, want)
		}
	}
}

func TestNear(t *testing.T) {
	for _, tt := range []struct {
		want, have int
		near       bool
	}{{100, 100, true}, {400, 100, false}, {210, 200, true}, {230, 200, false}, {100, 105, false}} {
		if near(tt.want, tt.have) != tt.near {
			t.Errorf("%d where %d is set", tt.want, tt.have)
		}
	}
}

func TestABusyHeapGetsRoomAndAQuietOneNone(t *testing.T) {
	before := debug.SetGCPercent(usual)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	runtime.GC()
	p := newPacer()
	p.pace(true)
	if got := read("/gc/gogc:percent"); got <= usual {
		t.Errorf("a busy heap of a few megabytes may grow by %d %%", got)
	}
	p.pace(false)
	if got := read("/gc/gogc:percent"); got != usual {
		t.Errorf("a quiet heap may grow by %d %%", got)
	}
}

func TestWhatAPersonChoseStays(t *testing.T) {
	before := debug.SetGCPercent(50)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	p := newPacer()
	p.pace(true)
	p.pace(false)
	if got := read("/gc/gogc:percent"); got != 50 {
		t.Errorf("GOGC was 50 and is %d", got)
	}
}
