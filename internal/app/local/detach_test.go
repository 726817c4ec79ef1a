package local

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Pods' cgroups lie in the node's scope, beside Knarr's own processes; on cgroup
// v1, and where an older Knarr's pods still run, they lie where they are told.
func TestWherePodsCgroupsLie(t *testing.T) {
	for name, tc := range map[string]struct {
		there string // besides the scope
		want  string
	}{
		"cgroup v2":        {"cgroup.controllers", "/system.slice/knarr.scope/pods"},
		"cgroup v1":        {"", "/knarr"},
		"an older cluster": {"knarr/pod1", "/knarr"},
	} {
		root, s := t.TempDir(), Settings{CgroupParent: "/knarr"}
		scope := filepath.Join(root, "system.slice", "knarr.scope")
		if err := errors.Join(os.MkdirAll(scope, 0o755), os.MkdirAll(filepath.Join(root, tc.there), 0o755)); err != nil {
			t.Fatal(err)
		}
		if name == "an older cluster" {
			if err := os.Mkdir(filepath.Join(root, "cgroup.controllers"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // keep may be killed, and another one put there
			if err := s.settle(root, 42); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.podGroup(root); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
		moved, err := os.ReadFile(filepath.Join(scope, "services", "cgroup.procs"))
		if inside := tc.want != s.CgroupParent; inside != (string(moved) == "42") || !inside && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: keep's place holds %q, %v", name, moved, err)
		}
	}
}
