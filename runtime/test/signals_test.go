package test

import (
	"os/signal"
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
	for what, shown := range map[string]string{"a container's program": n.log(id, "stdout"), "what is run in it": later} {
		_, ignored, _ := strings.Cut(shown, "SigIgn:\t")
		if ignored, _, _ = strings.Cut(ignored, "\n"); ignored != "0000000000000000" {
			t.Errorf("%s ignores the signals %q", what, ignored)
		}
	}
}
