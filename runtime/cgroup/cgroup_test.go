package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes files below a folder that stands for a hierarchy.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, body := range files {
		path := filepath.Join(root, "pod", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestReadBothVersions(t *testing.T) {
	v1 := tree(t, map[string]string{"cpuacct.usage": "5000\n", "memory.usage_in_bytes": "1000\n", "memory.limit_in_bytes": "4000\n", "pids.current": "3\n",
		"memory.stat": "total_inactive_file 300\ntotal_rss 200\ntotal_swap 7\ntotal_pgfault 11\ntotal_pgmajfault 2\n", "memory.oom_control": "under_oom 0\noom_kill 4\n"})
	v2 := tree(t, map[string]string{"cpu.stat": "usage_usec 5\nuser_usec 1\n", "memory.current": "1000\n", "memory.max": "4000\n", "pids.current": "3\n",
		"memory.stat": "inactive_file 300\nanon 200\npgfault 11\npgmajfault 2\n", "memory.swap.current": "7\n", "memory.events": "oom 9\noom_kill 4\n"})
	want := Usage{CPU: 5000, Memory: 1000, WorkingSet: 700, RSS: 200, Limit: 4000, Swap: 7, PageFaults: 11, MajorFaults: 2, NumProcs: 3}
	for name, h := range map[string]*Hierarchy{"1": {memory: v1, cpu: v1, pids: v1}, "2": {V2: true, memory: v2, cpu: v2, pids: v2}} {
		got, err := h.Read("/pod")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("version %s (-want +got):\n%s", name, d)
		}
		if n := h.OOMKills("/pod"); n != 4 {
			t.Errorf("version %s: %d kills", name, n)
		}
		if _, err := h.Read("/none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("version %s: a missing group: %v", name, err)
		}
	}
}

func TestInactiveCacheAboveUsageIsNoHugeNumber(t *testing.T) {
	root := tree(t, map[string]string{"cpu.stat": "usage_usec 1\n", "memory.current": "10\n", "memory.max": "max\n", "memory.stat": "inactive_file 20\n"})
	u, err := (&Hierarchy{V2: true, memory: root, cpu: root, pids: root}).Read("/pod")
	if err != nil || u.WorkingSet != 0 || u.Limit != 1<<64-1 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestRemoveRealGroups(t *testing.T) {
	h, err := Discover()
	if err != nil {
		t.Fatalf("this test needs cgroups: %v", err)
	}
	path := "/knarr-cgroup-test"
	for _, root := range h.all {
		if err := os.MkdirAll(filepath.Join(root, path, "a", "b"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing
		if err := h.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range h.all {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			t.Errorf("%s is left in %s", path, root)
		}
	}
}
