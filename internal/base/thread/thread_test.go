package thread

import (
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever is done to the threads, the process is seen as it was.
func TestFirstThreadStaysAsItIs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("making a namespace needs root")
	}
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			err := Run(func() error {
				if unix.Gettid() == unix.Getpid() {
					return errors.New("this is the first thread")
				}
				return unix.Unshare(unix.CLONE_NEWNET)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	after, err := os.Readlink("/proc/self/ns/net")
	if err != nil || after != before {
		t.Errorf("the process was in %s and is in %s (%v)", before, after, err)
	}
}

func TestErrorComesBack(t *testing.T) {
	want := errors.New("no")
	if got := Run(func() error { return want }); !errors.Is(got, want) {
		t.Errorf("got %v", got)
	}
}
