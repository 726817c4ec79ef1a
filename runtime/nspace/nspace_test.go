package nspace

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Whatever namespaces are made and entered, the process is seen where it was:
// libcontainer refuses a container whose network namespace seems to be the
// process's own.
func TestProcessStaysWhereItIs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("making a namespace needs root")
	}
	seen := func() string {
		t.Helper()
		ns, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		return ns
	}
	before, dir := seen(), t.TempDir()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			at := filepath.Join(dir, strconv.Itoa(i))
			nothing := func() error { return nil }
			if err := Create(at, []Kind{Net}, nothing); err != nil {
				t.Error(err)
				return
			}
			if err := Do(Path(at, Net), Net, nothing); err != nil {
				t.Error(err)
			}
			if err := Remove(at); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if after := seen(); after != before {
		t.Errorf("the process was in %s and is in %s", before, after)
	}
}
