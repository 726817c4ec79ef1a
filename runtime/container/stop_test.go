package container

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]unix.Signal{
		"15": 15, "TERM": 15, "SIGTERM": 15, "sigkill": 9, "SIGRTMIN": 34, "SIGRTMIN+3": 37, "RTMIN+3": 37, "SIGRTMAX-2": 62, "SIGRTMAX": 64,
	} {
		if got, err := parseSignal(in); err != nil || got != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "65", "-1", "SIGNOT", "SIGRTMIN+99", "SIGRTMIN-1", "SIGRTMAX+1"} {
		if got, err := parseSignal(in); err == nil {
			t.Errorf("%q is %d", in, got)
		}
	}
}
