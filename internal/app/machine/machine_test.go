package machine

import (
	"net"
	"strings"
	"testing"
)

func TestTakenPortIsPassedOverAndItsOwnerNamed(t *testing.T) {
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	got, err := FreePort(port, func(p int) bool { return p == port+1 })
	if err != nil {
		t.Fatal(err)
	}
	if got <= port+1 {
		t.Errorf("got port %d: %d is taken and %d ruled out", got, port, port+1)
	}
	if owner := ListenerOf(port); !strings.HasPrefix(owner, "machine.test (pid ") {
		t.Errorf("the listener is said to be %q", owner)
	}
}
