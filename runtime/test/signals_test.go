package test

import (
	"os/signal"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Programs in containers begin with every signal as it is by default, also
// where the runtime was started by nohup.
func TestContainersIgnoreNoSignal(t *testing.T) {
	signal.Ignore(unix.SIGHUP)
	defer signal.Reset(unix.SIGHUP)
	n := newNode(t)
	n.load()
	p := n.runPod("signals", nil)
	id := p.run("main", []string{"cat", "/proc/self/status"}, nil)
	n.ended(id)
	later, _ := n.exec(p.run("waits", []string{"wait"}, nil), "cat", "/proc/self/status")
	// The C library has 32 and 33 for itself, and ignores them under the race detector.
	const ours = ^uint64(3 << 31)
	for what, shown := range map[string]string{"a container's program": n.log(id, "stdout"), "what is run in it": later} {
		_, rest, _ := strings.Cut(shown, "SigIgn:\t")
		mask, _, _ := strings.Cut(rest, "\n")
		if ignored, err := strconv.ParseUint(mask, 16, 64); err != nil || ignored&ours != 0 {
			t.Errorf("%s ignores the signals %q", what, mask)
		}
	}
}
