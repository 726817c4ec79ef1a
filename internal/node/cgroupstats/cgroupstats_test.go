package cgroupstats

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/cgroups"
)

func TestTheMachine(t *testing.T) {
	g, err := Read("/")
	if err != nil {
		t.Fatal(err)
	}
	if g.CPU.CpuUsage.TotalUsage == 0 || g.Started.IsZero() || g.At.IsZero() {
		t.Errorf("the root cgroup has used no CPU: %+v", g)
	}
	if _, err := Read("/knarr-there-is-no-such-group"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a group that is not there: %v", err)
	}
}

func TestWorkingSet(t *testing.T) {
	for _, tc := range []struct {
		stats map[string]uint64
		usage uint64
		want  uint64
	}{
		{map[string]uint64{"total_inactive_file": 30, "inactive_file": 10}, 100, 70},
		{map[string]uint64{"inactive_file": 10}, 100, 90},
		{map[string]uint64{"total_inactive_file": 200}, 100, 0},
		{nil, 5, 5},
	} {
		m := &cgroups.MemoryStats{Usage: cgroups.MemoryData{Usage: tc.usage}, Stats: tc.stats}
		if got := workingSet(m); got != tc.want {
			t.Errorf("%v of %d: %d, want %d", tc.stats, tc.usage, got, tc.want)
		}
	}
}

func TestLimits(t *testing.T) {
	write := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	v1 := write(map[string]string{"cpu.shares": "512", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000",
		"memory.limit_in_bytes": "1048576", "memory.soft_limit_in_bytes": "9223372036854771712"})
	want := Limits{Shares: 512, Quota: 50000, Period: 100000, Memory: 1 << 20}
	if diff := cmp.Diff(want, limitsOfV1(v1, v1)); diff != "" {
		t.Errorf("v1: -want +got\n%s", diff)
	}
	v2 := write(map[string]string{"cpu.weight": "20", "cpu.max": "max 100000", "memory.max": "max", "memory.low": "4096"})
	want = Limits{Shares: 500, Period: 100000, Reservation: 4096}
	if diff := cmp.Diff(want, limitsOfV2(v2)); diff != "" {
		t.Errorf("v2: -want +got\n%s", diff)
	}
}
