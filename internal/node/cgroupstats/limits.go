package cgroupstats

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
)

// unlimited is above what the kernel tells of a group without a limit, bytes.
const unlimited = 1 << 60

// Limits are what a group may use. Zero: no limit.
type Limits struct {
	// Shares of CPU, in the measure of cgroup v1.
	Shares uint64
	// Quota of CPU time per Period, both in microseconds.
	Quota, Period uint64
	Memory        uint64 // bytes
	// Reservation is memory that is left to the group under pressure, bytes.
	Reservation uint64
}

func limitsOf(m cgroups.Manager) Limits {
	if cgroups.IsCgroup2UnifiedMode() {
		return limitsOfV2(m.Path(""))
	}
	return limitsOfV1(m.Path("cpu"), m.Path("memory"))
}

func limitsOfV1(cpu, memory string) Limits {
	var l Limits
	l.Shares, _ = readUint(filepath.Join(cpu, "cpu.shares"))
	l.Period, _ = readUint(filepath.Join(cpu, "cpu.cfs_period_us"))
	l.Quota, _ = readUint(filepath.Join(cpu, "cpu.cfs_quota_us")) // -1 is no number: none
	l.Memory = limited(filepath.Join(memory, "memory.limit_in_bytes"))
	l.Reservation = limited(filepath.Join(memory, "memory.soft_limit_in_bytes"))
	return l
}

func limitsOfV2(dir string) Limits {
	var l Limits
	if weight, ok := readUint(filepath.Join(dir, "cpu.weight")); ok && weight > 0 {
		l.Shares = sharesOf(weight)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "cpu.max")); err == nil {
		quota, period, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
		l.Quota, _ = strconv.ParseUint(quota, 10, 64) // "max" is no number: none
		l.Period, _ = strconv.ParseUint(period, 10, 64)
	}
	l.Memory = limited(filepath.Join(dir, "memory.max"))
	l.Reservation = limited(filepath.Join(dir, "memory.low"))
	return l
}

// sharesOf turns the weight of v2 (1 to 10,000) into the shares of v1 (2 to
// 262,144), as the kernel's documentation of both ranges has it.
func sharesOf(weight uint64) uint64 { return 2 + (weight-1)*262142/9999 }

func limited(path string) uint64 {
	n, ok := readUint(path)
	if !ok || n >= unlimited {
		return 0
	}
	return n
}
