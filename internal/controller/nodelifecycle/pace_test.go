package nodelifecycle

import (
	"fmt"
	"testing"
	"time"
)

// zoneOf makes a pacer with nodes n0.. of one zone, the first of them lost.
func zoneOf(ready, lost int) *pacer {
	p := newPacer()
	for i := range ready + lost {
		p.set(fmt.Sprint("n", i), "z", i >= lost, now)
	}
	return p
}

func TestPace(t *testing.T) {
	for _, c := range []struct {
		ready, lost int
		want        float64
	}{
		{9, 1, 0.1}, {1, 2, 0.1}, {2, 3, 0}, {5, 3, 0.1}, {0, 5, 0.1}, {20, 31, 0.01}, {20, 30, 0},
	} {
		if got := zoneOf(c.ready, c.lost).rate("z"); got != c.want {
			t.Errorf("%d ready, %d lost: %v, want %v", c.ready, c.lost, got, c.want)
		}
	}
}

func TestNodesAreEmptiedOneByOne(t *testing.T) {
	p := zoneOf(10, 3)
	if ok, _ := p.take("n0", now); !ok {
		t.Fatal("the first has to wait")
	}
	ok, wait := p.take("n1", now)
	if ok || wait != 10*time.Second {
		t.Fatalf("the second: %t, %s", ok, wait)
	}
	if ok, _ := p.take("n1", now.Add(wait)); !ok {
		t.Error("the second has to wait longer than it was told")
	}
}

func TestChangesOfPaceAreTold(t *testing.T) {
	p := zoneOf(3, 2)
	if p.set("n0", "z", false, now) {
		t.Error("nothing changed, but a change is told")
	}
	if !p.set("n2", "z", false, now) {
		t.Error("the zone is disrupted, and nobody is told")
	}
	if !p.anyReady() || !p.set("n3", "z", false, now) && !p.set("n4", "z", false, now) || p.anyReady() {
		t.Error("no node is ready, and nobody is told")
	}
	for i := range 5 {
		p.drop(fmt.Sprint("n", i))
	}
	if len(p.nodes) != 0 || p.zones["z"].ready+p.zones["z"].lost != 0 {
		t.Error("dropped nodes still count")
	}
}
