package proc

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDrops(t *testing.T) {
	const none, term = "0000000000000000", "0000000000004000"
	status := func(pids, blocked, caught string) string {
		return "Name:\tNSpid: 7 1\nPid:\t7\nNSpid:\t" + pids + "\nSigQ:\t0/1\nSigBlk:\t" + blocked + "\nSigIgn:\t" + term + "\nSigCgt:\t" + caught + "\n"
	}
	for _, c := range []struct {
		name, status string
		sig          unix.Signal
		want         bool
	}{
		{"first of a namespace", status("7\t1", none, none), unix.SIGTERM, true},
		{"with a handler", status("7\t1", none, term), unix.SIGTERM, false},
		{"that waits for it", status("7\t1", term, none), unix.SIGTERM, false},
		{"with another's handler", status("7\t1", none, term), unix.SIGQUIT, true},
		{"a real-time signal", status("7\t1", none, "8000000000000000"), 64, false},
		{"before its program", "Name:\trunc:[2:INIT]\n" + strings.SplitN(status("7\t1", none, term), "\n", 2)[1], unix.SIGTERM, true},
		{"not the first", status("7\t2", none, none), unix.SIGTERM, false},
		{"in the node's namespace", status("1", none, none), unix.SIGTERM, false},
	} {
		if got, err := drops(c.status, c.sig); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	if _, err := drops("SigCgt:\tnonsense\n", unix.SIGTERM); err == nil {
		t.Error("nonsense was understood")
	}
	self, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if lost, err := self.Drops(unix.SIGTERM); err != nil || lost {
		t.Errorf("of a Go program: %v, %v", lost, err)
	}
}
