package userns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestRangesAreOnesOwnAndStay(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	take := func(a *Allocator, pod types.UID) uint32 {
		t.Helper()
		first, err := a.Take(pod)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	one, two := take(a, "one"), take(a, "two")
	if one != Length || two != 2*Length || take(a, "one") != one {
		t.Errorf("one has %d, two has %d", one, two)
	}
	b, err := Open(dir) // a new agent
	if err != nil {
		t.Fatal(err)
	}
	if take(b, "two") != two || take(b, "three") != 3*Length {
		t.Error("a new agent gives other ids")
	}
	if err := errors.Join(b.Release("one"), b.Release("one"), b.Release("nobody")); err != nil {
		t.Fatal(err)
	}
	if got := take(b, "four"); got != one || len(b.Pods()) != 3 {
		t.Errorf("a free range is not used again: %d, %v", got, b.Pods())
	}
}

func TestRangesEnd(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for n := uint32(1); n <= ranges; n++ {
		a.pods[types.UID(fmt.Sprint(n))] = n
	}
	if _, err := a.Take("more"); !errors.Is(err, errExhausted) {
		t.Errorf("one more: %v", err)
	}
	if last := uint64(ranges)*Length + Length; last > 1<<31 {
		t.Errorf("the last range ends at %d", last)
	}
}

func TestWhatCannotBeWrittenIsNotGiven(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A folder where the new file would be.
	if err := os.Mkdir(filepath.Join(dir, "user_namespaces.json.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Take("one"); err == nil || len(a.Pods()) != 0 {
		t.Errorf("given without a record: %v", err)
	}
}
