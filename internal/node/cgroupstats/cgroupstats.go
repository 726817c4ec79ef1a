// Package cgroupstats reads what a cgroup uses and what it may use, from the
// kernel's files of cgroup v1 or v2, at the time of the question. It owns no
// state and changes nothing.
package cgroupstats

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
)

// Group is what one cgroup, with everything below it, uses at a time.
type Group struct {
	At time.Time
	// Path is the group below the root of the hierarchy, as "/kubepods".
	Path string
	CPU  cgroups.CpuStats // nanoseconds
	// Memory as the kernel counts it, in bytes; Fields are memory.stat.
	Memory     cgroups.MemoryStats
	WorkingSet uint64 // bytes that cannot be taken back easily
	OOMKills   uint64
	Pids       cgroups.PidsStats
	IO         cgroups.BlkioStats
	Limits     Limits
	Started    time.Time // when the group was made

	manager cgroups.Manager
}

// Read reads the cgroup of a path below the root of the hierarchy. The error
// is fs.ErrNotExist where there is no such group.
func Read(path string) (*Group, error) {
	m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: &cgroups.Resources{}})
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	dir := dirOf(m)
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	now := time.Now()
	stats, err := statsOf(m, path)
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	g := &Group{
		At: now, Path: path, CPU: stats.CpuStats, Memory: stats.MemoryStats, Pids: stats.PidsStats, IO: stats.BlkioStats,
		Started: info.ModTime(), manager: m, Limits: limitsOf(m),
	}
	g.WorkingSet = workingSet(&stats.MemoryStats)
	if kills, err := m.OOMKillCount(); err == nil {
		g.OOMKills = kills
	}
	return g, nil
}

// statsOf leaves out the controllers of which nothing is told; the root group
// counts no processes.
func statsOf(m cgroups.Manager, path string) (*cgroups.Stats, error) {
	wanted := cgroups.CPU | cgroups.Memory | cgroups.IO
	if path != "/" {
		wanted |= cgroups.Pids
	}
	return m.Stats(&cgroups.StatsOptions{Controllers: wanted})
}

// dirOf is a folder that tells whether the group is there.
func dirOf(m cgroups.Manager) string {
	if dir := m.Path("memory"); dir != "" {
		return dir
	}
	return m.Path("")
}

// workingSet is usage without the file pages that were not used lately.
func workingSet(m *cgroups.MemoryStats) uint64 {
	inactive := m.Stats["total_inactive_file"] // v1
	if n, has := m.Stats["inactive_file"]; has && inactive == 0 {
		inactive = n
	}
	return m.Usage.Usage - min(inactive, m.Usage.Usage)
}

// Field is a field of memory.stat by its name in v1 or else in v2.
func (g *Group) Field(v1, v2 string) uint64 {
	if n, has := g.Memory.Stats[v1]; has {
		return n
	}
	return g.Memory.Stats[v2]
}

// Processes are the ids of the group's processes.
func (g *Group) Processes() ([]int, error) {
	pids, err := g.manager.GetAllPids()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return pids, err
}

// Find is the path of a container's group below its pod's: runtimes name it
// by the container's id, some with words around it.
func Find(pod, container string) string {
	plain := filepath.Join(pod, container)
	m, err := manager.New(&cgroups.Cgroup{Path: pod, Resources: &cgroups.Resources{}})
	if err != nil {
		return plain
	}
	dir := dirOf(m)
	if _, err := os.Stat(filepath.Join(dir, container)); err == nil {
		return plain
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return plain
	}
	i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && strings.Contains(e.Name(), container) })
	if i < 0 {
		return plain
	}
	return filepath.Join(pod, entries[i].Name())
}

func readUint(path string) (uint64, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil
}
