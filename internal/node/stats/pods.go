package stats

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// podStats is what the runtime says of a pod, in the summary's words.
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
		stats := statsapi.ContainerStats{
			Name: c.GetAttributes().GetMetadata().GetName(), CPU: cpuOf(c.GetCpu()), Memory: memoryOf(c.GetMemory()),
			Rootfs: rootfsOf(c.GetWritableLayer()), Swap: swapOf(c.GetSwap()),
		}
		out.Swap = addSwap(out.Swap, stats.Swap)
		out.Containers = append(out.Containers, stats)
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

func nanos(n int64) metav1.Time { return metav1.NewTime(time.Unix(0, n)) }

func cpuOf(c *runtimeapi.CpuUsage) *statsapi.CPUStats {
	if c == nil {
		return nil
	}
	return &statsapi.CPUStats{
		Time: nanos(c.GetTimestamp()), UsageCoreNanoSeconds: value(c.GetUsageCoreNanoSeconds()), UsageNanoCores: value(c.GetUsageNanoCores()),
	}
}

func memoryOf(m *runtimeapi.MemoryUsage) *statsapi.MemoryStats {
	if m == nil {
		return nil
	}
	return &statsapi.MemoryStats{
		Time: nanos(m.GetTimestamp()), WorkingSetBytes: value(m.GetWorkingSetBytes()), AvailableBytes: value(m.GetAvailableBytes()),
		UsageBytes: value(m.GetUsageBytes()), RSSBytes: value(m.GetRssBytes()), PageFaults: value(m.GetPageFaults()), MajorPageFaults: value(m.GetMajorPageFaults()),
	}
}

func swapOf(s *runtimeapi.SwapUsage) *statsapi.SwapStats {
	if s == nil {
		return nil
	}
	return &statsapi.SwapStats{Time: nanos(s.GetTimestamp()), SwapUsageBytes: value(s.GetSwapUsageBytes()), SwapAvailableBytes: value(s.GetSwapAvailableBytes())}
}

func addSwap(sum, s *statsapi.SwapStats) *statsapi.SwapStats {
	if s == nil || s.SwapUsageBytes == nil {
		return sum
	}
	used := *s.SwapUsageBytes
	if sum != nil {
		used += *sum.SwapUsageBytes
	}
	return &statsapi.SwapStats{Time: s.Time, SwapUsageBytes: &used}
}

func networkOf(n *runtimeapi.NetworkUsage) *statsapi.NetworkStats {
	if n == nil {
		return nil
	}
	out := &statsapi.NetworkStats{Time: nanos(n.GetTimestamp()), InterfaceStats: interfaceOf(n.GetDefaultInterface())}
	out.Interfaces = append(out.Interfaces, out.InterfaceStats)
	for _, i := range n.GetInterfaces() {
		if i.GetName() != out.Name {
			out.Interfaces = append(out.Interfaces, interfaceOf(i))
		}
	}
	return out
}

func interfaceOf(i *runtimeapi.NetworkInterfaceUsage) statsapi.InterfaceStats {
	return statsapi.InterfaceStats{
		Name: i.GetName(), RxBytes: value(i.GetRxBytes()), RxErrors: value(i.GetRxErrors()), TxBytes: value(i.GetTxBytes()), TxErrors: value(i.GetTxErrors()),
	}
}

func rootfsOf(f *runtimeapi.FilesystemUsage) *statsapi.FsStats {
	if f == nil {
		return nil
	}
	out := &statsapi.FsStats{Time: nanos(f.GetTimestamp())}
	if whole := fsOf(f.GetFsId().GetMountpoint(), out.Time); whole != nil {
		out = whole
	}
	out.UsedBytes, out.InodesUsed = value(f.GetUsedBytes()), value(f.GetInodesUsed())
	return out
}
