package holds

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) (r int, w *os.File) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	return p[0], os.NewFile(uintptr(p[1]), "w")
}

func TestHeldUntilDroppedOrReplaced(t *testing.T) {
	table := New(nil)
	r1, w1 := pipe(t)
	r2, w2 := pipe(t)
	defer w1.Close()
	defer w2.Close()
	if err := table.Hold("k", []int{r1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w1.WriteString("x"); err != nil {
		t.Fatalf("not held: %v", err)
	}
	found, err := table.With("k", func(fds []int) error {
		if len(fds) != 1 || fds[0] == r1 {
			t.Errorf("descriptors %v of %d", fds, r1)
		}
		return nil
	})
	if !found || err != nil {
		t.Fatalf("%v, %v", found, err)
	}
	if err := table.Hold("k", []int{r2}); err != nil {
		t.Fatal(err)
	}
	if _, err := w1.WriteString("x"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("what was replaced stays open: %v", err)
	}
	table.Drop("k")
	table.Drop("k")
	if _, err := w2.WriteString("x"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("what was dropped stays open: %v", err)
	}
	if found, _ := table.With("k", nil); found || len(table.List()) != 0 {
		t.Error("a dropped key is listed")
	}
}
