package render

import (
	"path"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// How CPU and memory requests become cgroup settings and OOM scores; the
// figures are upstream's.
const (
	cpuPeriod     = 100_000 // microseconds
	minCPUQuota   = 1_000
	minCPUShares  = 2
	maxCPUShares  = 262_144
	sharesPerCPU  = 1024
	milliPerCPU   = 1000
	scoreCritical = -997
	scoreLowest   = 1000
	// criticalPriority is where system-cluster-critical begins.
	criticalPriority = 2_000_000_000
)

// QOS is a pod's quality-of-service class.
func QOS(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	return computeQOS(pod)
}

func computeQOS(pod *corev1.Pod) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	guaranteed := true
	for i := range pod.Spec.InitContainers {
		guaranteed = addQOS(&pod.Spec.InitContainers[i], requests, limits) && guaranteed
	}
	for i := range pod.Spec.Containers {
		guaranteed = addQOS(&pod.Spec.Containers[i], requests, limits) && guaranteed
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	for name, r := range requests {
		if l, ok := limits[name]; !ok || l.Cmp(r) != 0 {
			guaranteed = false
		}
	}
	if guaranteed && len(requests) == len(limits) {
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// addQOS sums a container's CPU and memory; it tells whether both are limited.
func addQOS(c *corev1.Container, requests, limits corev1.ResourceList) bool {
	limited := 0
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := c.Resources.Requests[name]; ok && !q.IsZero() {
			sum := requests[name]
			sum.Add(q)
			requests[name] = sum
		}
		if q, ok := c.Resources.Limits[name]; ok && !q.IsZero() {
			limited++
			sum := limits[name]
			sum.Add(q)
			limits[name] = sum
		}
	}
	return limited == 2
}

// CgroupParent is the cgroup of a pod below root, by its QoS class.
func CgroupParent(root string, pod *corev1.Pod) string {
	return path.Join(ClassCgroup(root, QOS(pod)), "pod"+string(pod.UID))
}

// ClassCgroup is the cgroup of a QoS class below root.
func ClassCgroup(root string, class corev1.PodQOSClass) string {
	top := path.Join("/", root, "kubepods")
	switch class {
	case corev1.PodQOSBestEffort:
		return top + "/besteffort"
	case corev1.PodQOSBurstable:
		return top + "/burstable"
	}
	return top
}

// ContainerResources are a container's cgroup settings; without a quota its
// limit of CPU does not count.
func ContainerResources(pod *corev1.Pod, c *corev1.Container, memoryCapacity int64, noQuota bool) *runtimeapi.LinuxContainerResources {
	out := linuxResources(c.Resources.Requests, c.Resources.Limits)
	if noQuota {
		out.CpuQuota = 0
	}
	out.OomScoreAdj = oomScore(pod, c, memoryCapacity)
	return out
}

func linuxResources(requests, limits corev1.ResourceList) *runtimeapi.LinuxContainerResources {
	out := &runtimeapi.LinuxContainerResources{CpuPeriod: cpuPeriod}
	cpu, requested := requests[corev1.ResourceCPU]
	limit, limited := limits[corev1.ResourceCPU]
	if !requested && limited {
		cpu = limit
	}
	out.CpuShares = CPUShares(cpu.MilliValue())
	if limited && !limit.IsZero() {
		out.CpuQuota = max(limit.MilliValue()*cpuPeriod/milliPerCPU, minCPUQuota)
	}
	if memory, ok := limits[corev1.ResourceMemory]; ok {
		out.MemoryLimitInBytes = memory.Value()
	}
	out.HugepageLimits = hugepages(limits)
	return out
}

// CPUShares maps thousandths of a CPU to cgroup v1 cpu.shares.
func CPUShares(milli int64) int64 {
	if milli == 0 {
		return minCPUShares
	}
	return min(max(milli*sharesPerCPU/milliPerCPU, minCPUShares), maxCPUShares)
}

func hugepages(limits corev1.ResourceList) []*runtimeapi.HugepageLimit {
	var out []*runtimeapi.HugepageLimit
	for name, q := range limits {
		size, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
		if !ok {
			continue
		}
		out = append(out, &runtimeapi.HugepageLimit{PageSize: strings.TrimSuffix(size, "i") + "B", Limit: uint64(q.Value())})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].PageSize < out[j].PageSize })
	return out
}

// oomScore decides who is killed first when the node is out of memory.
func oomScore(pod *corev1.Pod, c *corev1.Container, capacity int64) int64 {
	if pod.Spec.Priority != nil && *pod.Spec.Priority >= criticalPriority {
		return scoreCritical
	}
	switch QOS(pod) {
	case corev1.PodQOSGuaranteed:
		return scoreCritical
	case corev1.PodQOSBestEffort:
		return scoreLowest
	}
	if capacity <= 0 {
		return scoreLowest - 1
	}
	request := c.Resources.Requests.Memory().Value()
	if IsSidecar(c) {
		request = max(request, smallestRequest(pod))
	}
	score := scoreLowest - scoreLowest*request/capacity
	// Burstable stays above guaranteed and below best effort.
	return min(max(score, scoreLowest+scoreCritical), scoreLowest-1)
}

// smallestRequest is the least memory that a container of the pod asks for: a
// sidecar is not killed before it.
func smallestRequest(pod *corev1.Pod) int64 {
	least := int64(-1)
	for i := range pod.Spec.Containers {
		if v := pod.Spec.Containers[i].Resources.Requests.Memory().Value(); least < 0 || v < least {
			least = v
		}
	}
	return max(least, 0)
}
