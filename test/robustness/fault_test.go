package robustness

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// kind is what happens to the server.
type kind string

// The kinds of faults. Those that end in a kill are crashes.
const (
	kill         kind = "kill"
	killStarting kind = "kill, and again while it starts" // two crashes
	killPaused   kind = "pause, then kill"
	pause        kind = "pause"
	terminate    kind = "terminate"
	fullKill     kind = "full disk, then kill"
	full         kind = "full disk for a while"
)

// crashes is how often a fault kills the server.
func (k kind) crashes() int {
	switch k {
	case kill, killPaused, fullKill:
		return 1
	case killStarting:
		return 2
	}
	return 0
}

// bag holds the kinds as often as they shall come in a while.
var bag = []kind{
	kill, kill, kill, kill, kill, kill, kill, kill,
	killStarting, killStarting, killPaused, killPaused,
	pause, terminate, fullKill, fullKill, full,
}

// fault is one thing that happens, and when.
type fault struct {
	kind kind
	// after is how many requests are answered before it comes, during how many
	// more a full disk stays full.
	after, during int
	hold          time.Duration // how long a pause lasts, or what starts may live
	left          int64         // bytes that a full disk has left
}

// String shows a fault in a log.
func (f fault) String() string {
	return fmt.Sprintf("%s (after %d requests, during %d, hold %s, %d KiB left)", f.kind, f.after, f.during, f.hold, f.left>>10)
}

// plan is the faults of a round: crashes of them kill, and the last one does.
func plan(random *rand.Rand, crashes int) []fault {
	var faults []fault
	for left := crashes - 1; left > 0; {
		for _, i := range random.Perm(len(bag)) {
			if k := bag[i]; k.crashes() <= left {
				faults = append(faults, newFault(random, k))
				left -= k.crashes()
			}
		}
	}
	return append(faults, newFault(random, kill))
}

func newFault(random *rand.Rand, k kind) fault {
	f := fault{kind: k, after: random.IntN(120), during: random.IntN(60)}
	switch k {
	case killStarting:
		f.hold = time.Duration(random.IntN(250)) * time.Millisecond
	case pause, killPaused:
		f.hold = time.Duration(10+random.IntN(600)) * time.Millisecond
	case full, fullKill:
		f.hold = time.Duration(50+random.IntN(300)) * time.Millisecond
		// The server refuses writes with less than 64 MiB left, deletions with
		// less than half of it, and has to live with nothing at all.
		f.left = []int64{0, 0, 4 << 10, 256 << 10, 20 << 20, 31 << 20, 40 << 20, 63 << 20}[random.IntN(8)]
	}
	return f
}
