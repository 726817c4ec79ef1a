package stats

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cgroupstats"
)

// groupEmitter sends a cgroup's figures under cAdvisor's names.
type groupEmitter struct{ *emitter }

func seconds(nanos uint64) float64 { return float64(nanos) / float64(time.Second) }

func (e groupEmitter) cpu(of subject, g *cgroupstats.Group) {
	u, t := g.CPU.CpuUsage, g.CPU.ThrottlingData
	e.send(containerTotal("cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", "cpu"), seconds(u.TotalUsage), g.At, of.labels("total")...)
	e.send(containerTotal("cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds."), seconds(u.UsageInUsermode), g.At, of.labels()...)
	e.send(containerTotal("cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds."), seconds(u.UsageInKernelmode), g.At, of.labels()...)
	if g.Limits.Quota == 0 {
		return
	}
	e.send(containerTotal("cpu_cfs_periods_total", "Number of elapsed enforcement period intervals."), float64(t.Periods), g.At, of.labels()...)
	e.send(containerTotal("cpu_cfs_throttled_periods_total", "Number of throttled period intervals."), float64(t.ThrottledPeriods), g.At, of.labels()...)
	e.send(containerTotal("cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled."), seconds(t.ThrottledTime), g.At, of.labels()...)
}

func (e groupEmitter) memory(of subject, g *cgroupstats.Group) {
	swap := g.Field("total_swap", "swap")
	if swap == 0 {
		swap = g.Memory.SwapOnlyUsage.Usage
	}
	for _, f := range []struct {
		name, help string
		value      uint64
	}{
		{"memory_cache", "Number of bytes of page cache memory.", g.Field("total_cache", "file")},
		{"memory_rss", "Size of RSS in bytes.", g.Field("total_rss", "anon")},
		{"memory_mapped_file", "Size of memory mapped files in bytes.", g.Field("total_mapped_file", "file_mapped")},
		{"memory_swap", "Container swap usage in bytes.", swap},
		{"memory_kernel_usage", "Size of kernel memory allocated in bytes.", g.Memory.KernelUsage.Usage},
		{"memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed", g.Memory.Usage.Usage},
		{"memory_max_usage_bytes", "Maximum memory usage recorded in bytes", g.Memory.Usage.MaxUsage},
		{"memory_working_set_bytes", "Current working set in bytes.", g.WorkingSet},
		{"memory_total_active_file_bytes", "Current total active file in bytes.", g.Field("total_active_file", "active_file")},
		{"memory_total_inactive_file_bytes", "Current total inactive file in bytes.", g.Field("total_inactive_file", "inactive_file")},
	} {
		e.send(container(f.name, f.help), float64(f.value), g.At, of.labels()...)
	}
	e.send(containerTotal("memory_failcnt", "Number of memory usage hits limits"), float64(g.Memory.Usage.Failcnt), g.At, of.labels()...)
	e.send(containerTotal("oom_events_total", "Count of out of memory events observed for the container"), float64(g.OOMKills), g.At, of.labels()...)
	faults := containerTotal("memory_failures_total", "Cumulative count of memory allocation failures.", "failure_type", "scope")
	e.send(faults, float64(g.Field("pgfault", "pgfault")), g.At, of.labels("pgfault", "container")...)
	e.send(faults, float64(g.Field("pgmajfault", "pgmajfault")), g.At, of.labels("pgmajfault", "container")...)
	e.send(faults, float64(g.Field("total_pgfault", "pgfault")), g.At, of.labels("pgfault", "hierarchy")...)
	e.send(faults, float64(g.Field("total_pgmajfault", "pgmajfault")), g.At, of.labels("pgmajfault", "hierarchy")...)
}

func (e groupEmitter) limits(of subject, g *cgroupstats.Group) {
	l := g.Limits
	e.send(container("start_time_seconds", "Start time of the container since unix epoch in seconds."), float64(g.Started.Unix()), time.Time{}, of.labels()...)
	e.send(container("last_seen", "Last time a container was seen by the exporter"), float64(g.At.Unix()), g.At, of.labels()...)
	if l.Shares > 0 {
		e.send(container("spec_cpu_shares", "CPU share of the container."), float64(l.Shares), time.Time{}, of.labels()...)
	}
	if l.Period > 0 {
		e.send(container("spec_cpu_period", "CPU period of the container."), float64(l.Period), time.Time{}, of.labels()...)
	}
	if l.Quota > 0 {
		e.send(container("spec_cpu_quota", "CPU quota of the container."), float64(l.Quota), time.Time{}, of.labels()...)
	}
	e.send(container("spec_memory_limit_bytes", "Memory limit for the container."), float64(l.Memory), time.Time{}, of.labels()...)
	e.send(container("spec_memory_reservation_limit_bytes", "Memory reservation limit for the container."), float64(l.Reservation), time.Time{}, of.labels()...)
}

// io sends what was read and written, by device.
func (e groupEmitter) io(of subject, g *cgroupstats.Group) {
	reads, writes := containerTotal("fs_reads_total", "Cumulative count of reads completed", "device"), containerTotal("fs_writes_total", "Cumulative count of writes completed", "device")
	readBytes, writeBytes := containerTotal("fs_reads_bytes_total", "Cumulative count of bytes read", "device"), containerTotal("fs_writes_bytes_total", "Cumulative count of bytes written", "device")
	usage := containerTotal("blkio_device_usage_total", "Blkio Device bytes usage", "device", "major", "minor", "operation")
	for _, list := range []struct {
		entries     []cgroups.BlkioStatEntry
		read, write family
		bytes       bool
	}{{g.IO.IoServicedRecursive, reads, writes, false}, {g.IO.IoServiceBytesRecursive, readBytes, writeBytes, true}} {
		for _, entry := range list.entries {
			major, minor := strconv.FormatUint(entry.Major, 10), strconv.FormatUint(entry.Minor, 10)
			device := deviceName(major + ":" + minor)
			switch entry.Op {
			case "Read":
				e.send(list.read, float64(entry.Value), g.At, of.labels(device)...)
			case "Write":
				e.send(list.write, float64(entry.Value), g.At, of.labels(device)...)
			default:
				continue
			}
			if list.bytes {
				e.send(usage, float64(entry.Value), g.At, of.labels(device, major, minor, entry.Op)...)
			}
		}
	}
}

// deviceName is the device file of major:minor; empty where there is none.
func deviceName(number string) string {
	target, err := os.Readlink("/sys/dev/block/" + number)
	if err != nil {
		return ""
	}
	return "/dev/" + target[strings.LastIndexByte(target, '/')+1:]
}

// pressure sends stall times, which cgroup v2 alone knows.
func (e groupEmitter) pressure(of subject, g *cgroupstats.Group) {
	for _, p := range []struct {
		name string
		psi  *cgroups.PSIStats
	}{{"cpu", g.CPU.PSI}, {"memory", g.Memory.PSI}, {"io", g.IO.PSI}} {
		if p.psi == nil {
			continue
		}
		e.send(containerTotal("pressure_"+p.name+"_waiting_seconds_total", "Total time duration tasks in the container have waited due to "+p.name+" congestion."),
			float64(p.psi.Some.Total)/1e6, g.At, of.labels()...)
		e.send(containerTotal("pressure_"+p.name+"_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to "+p.name+" congestion."),
			float64(p.psi.Full.Total)/1e6, g.At, of.labels()...)
	}
}

// maxDescribed bounds the processes whose files are counted.
const maxDescribed = 256

func (e groupEmitter) processes(of subject, g *cgroupstats.Group) {
	e.send(container("threads", "Number of threads running inside the container"), float64(g.Pids.Current), g.At, of.labels()...)
	e.send(container("threads_max", "Maximum number of threads allowed inside the container, infinity if value is zero"), float64(g.Pids.Limit), g.At, of.labels()...)
	if of.container == "" {
		return
	}
	pids, err := g.Processes()
	if err != nil {
		return
	}
	files, sockets := 0, 0
	for _, pid := range pids[:min(len(pids), maxDescribed)] {
		f, s := openFiles(pid)
		files, sockets = files+f, sockets+s
	}
	e.send(container("processes", "Number of processes running inside the container."), float64(len(pids)), g.At, of.labels()...)
	e.send(container("file_descriptors", "Number of open file descriptors for the container."), float64(files), g.At, of.labels()...)
	e.send(container("sockets", "Number of open sockets for the container."), float64(sockets), g.At, of.labels()...)
}

// openFiles counts a process's descriptors; none where it is gone.
func openFiles(pid int) (files, sockets int) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, entry := range entries {
		if target, err := os.Readlink(dir + "/" + entry.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return len(entries), sockets
}

// layer sends what a container wrote into its own layer.
func (e groupEmitter) layer(of subject, g *cgroupstats.Group, layer *runtimeapi.FilesystemUsage) {
	mount := layer.GetFsId().GetMountpoint()
	device := deviceOf(mount)
	e.send(container("fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", "device"),
		float64(layer.GetUsedBytes().GetValue()), g.At, of.labels(device)...)
	if whole := fsOf(mount, nanos(g.At.UnixNano())); whole != nil {
		e.send(container("fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", "device"),
			float64(*whole.CapacityBytes), g.At, of.labels(device)...)
	}
}

// disk sends how full the node's own file system is.
func (e groupEmitter) disk(of subject, g *cgroupstats.Group, root string) {
	whole := fsOf(root, nanos(g.At.UnixNano()))
	if whole == nil {
		return
	}
	device := deviceOf(root)
	for _, f := range []struct {
		name, help string
		value      uint64
	}{
		{"fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", *whole.UsedBytes},
		{"fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", *whole.CapacityBytes},
		{"fs_inodes_free", "Number of available Inodes", *whole.InodesFree},
		{"fs_inodes_total", "Number of Inodes", *whole.Inodes},
	} {
		e.send(container(f.name, f.help, "device"), float64(f.value), g.At, of.labels(device)...)
	}
}

func (e groupEmitter) traffic(of subject, g *cgroupstats.Group, t traffic) {
	for _, d := range []struct {
		verb string
		c    counters
		word string
	}{{"receive", t.receive, "received"}, {"transmit", t.transmit, "transmitted"}} {
		send := func(name, help string, v uint64) {
			e.send(containerTotal("network_"+d.verb+"_"+name, help, "interface"), float64(v), g.At, of.labels(t.name)...)
		}
		send("bytes_total", "Cumulative count of bytes "+d.word, d.c.bytes)
		send("packets_total", "Cumulative count of packets "+d.word, d.c.packets)
		send("errors_total", "Cumulative count of errors encountered while "+d.word, d.c.errors)
		send("packets_dropped_total", "Cumulative count of packets dropped while "+d.word, d.c.dropped)
	}
}
