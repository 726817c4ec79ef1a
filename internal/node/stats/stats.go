// Package stats tells what the node and its pods use: the kubelet's summary
// and its Prometheus metrics. Figures come from the runtime and from the
// kernel at the time of the question; nothing is collected in between.
package stats

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/render"
)

// Provider answers questions for statistics. It is safe for concurrent use.
type Provider struct {
	NodeName string
	Runtime  *cri.Client
	// Root is a folder on the file system that pods' data lie on.
	Root string
	// Started is when the node agent started.
	Started time.Time
	// Pods are the node's pods, whose status tells when containers started.
	Pods func() []*corev1.Pod
}

// Summary is what the node and each of its pods use.
func (p *Provider) Summary(ctx context.Context) (*statsapi.Summary, error) {
	sandboxes, err := p.Runtime.SandboxStats(ctx)
	if err != nil {
		return nil, fmt.Errorf("statistics of pods: %w", err)
	}
	started := p.startTimes()
	out := &statsapi.Summary{Node: p.node(), Pods: []statsapi.PodStats{}}
	for _, s := range sandboxes {
		pod := podStats(s)
		for i := range pod.Containers {
			pod.Containers[i].StartTime = started[pod.PodRef.UID+"/"+pod.Containers[i].Name]
		}
		pod.StartTime = started[pod.PodRef.UID]
		out.Pods = append(out.Pods, pod)
	}
	return out, nil
}

// startTimes tells when pods (by uid) and containers (by uid and name) started.
func (p *Provider) startTimes() map[string]metav1.Time {
	out := map[string]metav1.Time{}
	for _, pod := range p.Pods() {
		uid := string(pod.UID)
		if pod.Status.StartTime != nil {
			out[uid] = *pod.Status.StartTime
		}
		for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for i := range list {
				if r := list[i].State.Running; r != nil {
					out[uid+"/"+list[i].Name] = r.StartedAt
				}
			}
		}
	}
	return out
}

func (p *Provider) node() statsapi.NodeStats {
	now := metav1.Now()
	n := statsapi.NodeStats{NodeName: p.NodeName, StartTime: metav1.NewTime(p.Started)}
	if used, ok := cpuNanos(); ok {
		n.CPU = &statsapi.CPUStats{Time: now, UsageCoreNanoSeconds: &used}
	}
	n.Memory = memory(now)
	n.Fs = p.fs(now)
	return n
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

func memory(now metav1.Time) *statsapi.MemoryStats {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil
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
	return &statsapi.MemoryStats{Time: now, AvailableBytes: &available, UsageBytes: &used, WorkingSetBytes: &working}
}

func (p *Provider) fs(now metav1.Time) *statsapi.FsStats {
	var fs unix.Statfs_t
	if unix.Statfs(p.Root, &fs) != nil {
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

func podStats(s *runtimeapi.PodSandboxStats) statsapi.PodStats {
	labels := s.GetAttributes().GetLabels()
	linux := s.GetLinux()
	out := statsapi.PodStats{
		PodRef: statsapi.PodReference{
			Name: labels[render.LabelPodName], Namespace: labels[render.LabelPodNamespace], UID: labels[render.LabelPodUID],
		},
		CPU: cpuOf(linux.GetCpu()), Memory: memoryOf(linux.GetMemory()), Network: networkOf(linux.GetNetwork()),
		Containers: []statsapi.ContainerStats{},
	}
	if n := linux.GetProcess().GetProcessCount(); n != nil {
		count := n.GetValue()
		out.ProcessStats = &statsapi.ProcessStats{ProcessCount: &count}
	}
	for _, c := range linux.GetContainers() {
		out.Containers = append(out.Containers, statsapi.ContainerStats{
			Name: c.GetAttributes().GetMetadata().GetName(), CPU: cpuOf(c.GetCpu()), Memory: memoryOf(c.GetMemory()), Rootfs: rootfsOf(c.GetWritableLayer()),
		})
	}
	return out
}

func value(v *runtimeapi.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	n := v.GetValue()
	return &n
}

func cpuOf(c *runtimeapi.CpuUsage) *statsapi.CPUStats {
	if c == nil {
		return nil
	}
	return &statsapi.CPUStats{
		Time: metav1.NewTime(time.Unix(0, c.GetTimestamp())), UsageCoreNanoSeconds: value(c.GetUsageCoreNanoSeconds()), UsageNanoCores: value(c.GetUsageNanoCores()),
	}
}

func memoryOf(m *runtimeapi.MemoryUsage) *statsapi.MemoryStats {
	if m == nil {
		return nil
	}
	return &statsapi.MemoryStats{
		Time: metav1.NewTime(time.Unix(0, m.GetTimestamp())), WorkingSetBytes: value(m.GetWorkingSetBytes()), AvailableBytes: value(m.GetAvailableBytes()),
		UsageBytes: value(m.GetUsageBytes()), RSSBytes: value(m.GetRssBytes()), PageFaults: value(m.GetPageFaults()), MajorPageFaults: value(m.GetMajorPageFaults()),
	}
}

func networkOf(n *runtimeapi.NetworkUsage) *statsapi.NetworkStats {
	if n == nil {
		return nil
	}
	d := n.GetDefaultInterface()
	return &statsapi.NetworkStats{
		Time: metav1.NewTime(time.Unix(0, n.GetTimestamp())),
		InterfaceStats: statsapi.InterfaceStats{
			Name: d.GetName(), RxBytes: value(d.GetRxBytes()), RxErrors: value(d.GetRxErrors()), TxBytes: value(d.GetTxBytes()), TxErrors: value(d.GetTxErrors()),
		},
	}
}

func rootfsOf(f *runtimeapi.FilesystemUsage) *statsapi.FsStats {
	if f == nil {
		return nil
	}
	return &statsapi.FsStats{
		Time: metav1.NewTime(time.Unix(0, f.GetTimestamp())), UsedBytes: value(f.GetUsedBytes()), InodesUsed: value(f.GetInodesUsed()),
	}
}
