package stats

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/knarr-io/knarr/internal/node/cgroupstats"
	"github.com/knarr-io/knarr/internal/node/render"
)

func (p *Provider) node(ctx context.Context, short bool) statsapi.NodeStats {
	now := metav1.Now()
	n := statsapi.NodeStats{NodeName: p.NodeName, StartTime: metav1.NewTime(p.Started), SystemContainers: p.systemContainers(now)}
	if used, ok := cpuNanos(); ok {
		n.CPU = &statsapi.CPUStats{Time: now, UsageCoreNanoSeconds: &used}
	}
	n.Memory, n.Swap = memory(now)
	if short {
		return n
	}
	n.Network = p.network(now)
	n.Fs = fsOf(p.Root, now)
	n.Rlimit = processes(now)
	if fs, err := p.Runtime.ImageFs(ctx); err == nil {
		n.Runtime = &statsapi.RuntimeStats{ImageFs: firstFs(fs.GetImageFilesystems()), ContainerFs: firstFs(fs.GetContainerFilesystems())}
		if n.Runtime.ContainerFs == nil {
			n.Runtime.ContainerFs = n.Runtime.ImageFs
		}
	}
	return n
}

// systemContainers are what all pods use together, and this process.
func (p *Provider) systemContainers(now metav1.Time) []statsapi.ContainerStats {
	var out []statsapi.ContainerStats
	if g, err := cgroupstats.Read(render.ClassCgroup(p.CgroupRoot, "")); err == nil {
		out = append(out, groupStats(statsapi.SystemContainerPods, g))
	}
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		cpu := uint64(use.Utime.Nano() + use.Stime.Nano())
		own := statsapi.ContainerStats{Name: statsapi.SystemContainerKubelet, StartTime: metav1.NewTime(p.Started), CPU: &statsapi.CPUStats{Time: now, UsageCoreNanoSeconds: &cpu}}
		if resident, ok := resident(); ok {
			own.Memory = &statsapi.MemoryStats{Time: now, UsageBytes: &resident, WorkingSetBytes: &resident, RSSBytes: &resident}
		}
		out = append(out, own)
	}
	return out
}

// resident is this process's memory in bytes.
func resident() (uint64, bool) {
	data, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err == nil
}

// groupStats tells of a cgroup as of a container.
func groupStats(name string, g *cgroupstats.Group) statsapi.ContainerStats {
	at := metav1.NewTime(g.At)
	cpu, usage, working := g.CPU.CpuUsage.TotalUsage, g.Memory.Usage.Usage, g.WorkingSet
	rss, faults, major := g.Field("total_rss", "anon"), g.Field("total_pgfault", "pgfault"), g.Field("total_pgmajfault", "pgmajfault")
	out := statsapi.ContainerStats{
		Name: name, StartTime: metav1.NewTime(g.Started),
		CPU:    &statsapi.CPUStats{Time: at, UsageCoreNanoSeconds: &cpu},
		Memory: &statsapi.MemoryStats{Time: at, UsageBytes: &usage, WorkingSetBytes: &working, RSSBytes: &rss, PageFaults: &faults, MajorPageFaults: &major},
	}
	if limit := g.Limits.Memory; limit > 0 {
		available := limit - min(working, limit)
		out.Memory.AvailableBytes = &available
	}
	return out
}

// cpuNanos is the CPU time that the machine has spent, idle time not counted.
func cpuNanos() (uint64, bool) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	ticks := uint64(0)
	for i, f := range fields[1:9] {
		if i == 3 || i == 4 { // idle and waiting
			continue
		}
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return ticks * uint64(time.Second/100), true
}

func memory(now metav1.Time) (*statsapi.MemoryStats, *statsapi.SwapStats) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, nil
	}
	values := map[string]uint64{}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			if err == nil {
				values[strings.TrimSuffix(fields[0], ":")] = n << 10
			}
		}
	}
	available := values["MemAvailable"]
	used := values["MemTotal"] - values["MemFree"]
	working := values["MemTotal"] - available
	anonymous := values["AnonPages"]
	free, swapped := values["SwapFree"], values["SwapTotal"]-values["SwapFree"]
	return &statsapi.MemoryStats{Time: now, AvailableBytes: &available, UsageBytes: &used, WorkingSetBytes: &working, RSSBytes: &anonymous},
		&statsapi.SwapStats{Time: now, SwapAvailableBytes: &free, SwapUsageBytes: &swapped}
}

// processes tells how many there are, and may be.
func processes(now metav1.Time) *statsapi.RlimitStats {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return nil
	}
	running := int64(info.Procs)
	out := &statsapi.RlimitStats{Time: now, NumOfRunningProcesses: &running}
	for _, path := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && (out.MaxPID == nil || n < *out.MaxPID) {
			out.MaxPID = &n
		}
	}
	return out
}

func firstFs(list []*runtimeapi.FilesystemUsage) *statsapi.FsStats {
	if len(list) == 0 {
		return nil
	}
	return rootfsOf(list[0])
}

// fsOf is the whole file system that a folder lies on; nil: unknown.
func fsOf(dir string, now metav1.Time) *statsapi.FsStats {
	var fs unix.Statfs_t
	if dir == "" || unix.Statfs(dir, &fs) != nil {
		return nil
	}
	size := uint64(fs.Bsize)
	available, capacity, used := fs.Bavail*size, fs.Blocks*size, (fs.Blocks-fs.Bfree)*size
	free, inodes, usedInodes := fs.Ffree, fs.Files, fs.Files-fs.Ffree
	return &statsapi.FsStats{
		Time: now, AvailableBytes: &available, CapacityBytes: &capacity, UsedBytes: &used,
		InodesFree: &free, Inodes: &inodes, InodesUsed: &usedInodes,
	}
}
