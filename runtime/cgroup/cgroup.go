// Package cgroup reads what cgroups count, and removes groups of ours, in
// version 1 and 2 of the hierarchy. It keeps nothing but where the hierarchies are.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// Hierarchy is where cgroups are mounted.
type Hierarchy struct {
	// V2 says that there is one unified hierarchy.
	V2     bool
	memory string
	cpu    string
	pids   string
	all    []string
}

// Discover finds the hierarchies of this machine.
func Discover() (*Hierarchy, error) {
	if cgroups.IsCgroup2UnifiedMode() {
		root := "/sys/fs/cgroup"
		return &Hierarchy{V2: true, memory: root, cpu: root, pids: root, all: []string{root}}, nil
	}
	mounts, err := cgroups.GetCgroupMounts(true)
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	h := &Hierarchy{}
	for _, m := range mounts {
		h.all = append(h.all, m.Mountpoint)
		for _, s := range m.Subsystems {
			switch s {
			case "memory":
				h.memory = m.Mountpoint
			case "cpuacct":
				h.cpu = m.Mountpoint
			case "pids":
				h.pids = m.Mountpoint
			}
		}
	}
	// The second hierarchy of a mixed set-up has no controllers, but groups.
	if cgroups.IsCgroup2HybridMode() {
		h.all = append(h.all, "/sys/fs/cgroup/unified")
	}
	if h.memory == "" || h.cpu == "" {
		return nil, errors.New("no memory and cpuacct cgroups are mounted: mount cgroup2 at /sys/fs/cgroup or the version 1 controllers below it")
	}
	return h, nil
}

// Usage is what a cgroup has used. Sizes are in bytes, times in nanoseconds.
type Usage struct {
	CPU                               uint64
	Memory, WorkingSet, RSS, Limit    uint64
	Swap                              uint64
	PageFaults, MajorFaults, NumProcs uint64
}

// Read returns the usage of the group at path, such as /knarr/pod1/c1. The
// error is fs.ErrNotExist if there is none.
func (h *Hierarchy) Read(path string) (Usage, error) {
	if h.V2 {
		return h.read2(path)
	}
	return h.read1(path)
}

func (h *Hierarchy) read1(path string) (Usage, error) {
	var u Usage
	var err error
	if u.CPU, err = number(h.cpu, path, "cpuacct.usage"); err != nil {
		return u, err
	}
	if u.Memory, err = number(h.memory, path, "memory.usage_in_bytes"); err != nil {
		return u, err
	}
	stat, err := table(filepath.Join(h.memory, path, "memory.stat"))
	if err != nil {
		return u, err
	}
	u.WorkingSet = less(u.Memory, stat["total_inactive_file"])
	u.RSS, u.Swap = stat["total_rss"], stat["total_swap"]
	u.PageFaults, u.MajorFaults = stat["total_pgfault"], stat["total_pgmajfault"]
	u.Limit, _ = number(h.memory, path, "memory.limit_in_bytes")
	if h.pids != "" {
		u.NumProcs, _ = number(h.pids, path, "pids.current")
	}
	return u, nil
}

func (h *Hierarchy) read2(path string) (Usage, error) {
	var u Usage
	cpu, err := table(filepath.Join(h.cpu, path, "cpu.stat"))
	if err != nil {
		return u, err
	}
	u.CPU = cpu["usage_usec"] * 1000
	if u.Memory, err = number(h.memory, path, "memory.current"); err != nil {
		return u, err
	}
	stat, err := table(filepath.Join(h.memory, path, "memory.stat"))
	if err != nil {
		return u, err
	}
	u.WorkingSet, u.RSS = less(u.Memory, stat["inactive_file"]), stat["anon"]
	u.PageFaults, u.MajorFaults = stat["pgfault"], stat["pgmajfault"]
	u.Swap, _ = number(h.memory, path, "memory.swap.current")
	u.Limit, _ = number(h.memory, path, "memory.max")
	u.NumProcs, _ = number(h.pids, path, "pids.current")
	return u, nil
}

// OOMKills returns how many processes of the group were killed for lack of memory.
func (h *Hierarchy) OOMKills(path string) uint64 {
	file := "memory.oom_control"
	if h.V2 {
		file = "memory.events"
	}
	t, err := table(filepath.Join(h.memory, path, file))
	if err != nil {
		return 0
	}
	return t["oom_kill"]
}

// Remove removes the group at path and all below it. Groups with processes stay, which is an error.
func (h *Hierarchy) Remove(path string) error {
	var all error
	for _, root := range h.all {
		all = errors.Join(all, removeTree(filepath.Join(root, path)))
	}
	return all
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}

// Processes returns the pids of every process in the group and below it.
func (h *Hierarchy) Processes(path string) []int {
	var out []int
	root := h.memory
	_ = filepath.WalkDir(filepath.Join(root, path), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(p, "cgroup.procs"))
		if err != nil {
			return nil
		}
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				out = append(out, pid)
			}
		}
		return nil
	})
	return out
}

func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}

// number reads a file with one number; "max" is the largest.
func number(root, path, file string) (uint64, error) {
	data, err := os.ReadFile(filepath.Join(root, path, file))
	if err != nil {
		return 0, err
	}
	s := strings.TrimSpace(string(data))
	if s == "max" {
		return 1<<64 - 1, nil
	}
	return strconv.ParseUint(s, 10, 64)
}

// table reads a file with a name and a number on each line.
func table(file string) (map[string]uint64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]uint64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			out[name] = n
		}
	}
	return out, lines.Err()
}
