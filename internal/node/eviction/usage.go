package eviction

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// measure asks the runtime what pods take of memory and process ids.
func (m *Manager) measure(ctx context.Context) (map[types.UID]Usage, error) {
	stats, err := m.host.Runtime.SandboxStats(ctx)
	if err != nil {
		return nil, fmt.Errorf("statistics of pods: %w", err)
	}
	out := make(map[types.UID]Usage, len(stats))
	for _, s := range stats {
		linux := s.GetLinux()
		u := Usage{
			Known:  true,
			Memory: int64(linux.GetMemory().GetWorkingSetBytes().GetValue()), Processes: int64(linux.GetProcess().GetProcessCount().GetValue()),
			Containers: map[string]ContainerUsage{},
		}
		for _, c := range linux.GetContainers() {
			u.Containers[c.GetAttributes().GetMetadata().GetName()] = ContainerUsage{Memory: int64(c.GetMemory().GetWorkingSetBytes().GetValue())}
		}
		out[types.UID(s.GetAttributes().GetLabels()[render.LabelPodUID])] = u
	}
	return out, nil
}

// layers are what containers have written into their root file systems, by
// pod and container.
func (m *Manager) layers(ctx context.Context) (map[types.UID]map[string]*runtimeapi.FilesystemUsage, error) {
	stats, err := m.host.Runtime.ContainerStats(ctx)
	if err != nil {
		return nil, fmt.Errorf("statistics of containers: %w", err)
	}
	out := map[types.UID]map[string]*runtimeapi.FilesystemUsage{}
	for _, s := range stats {
		labels := s.GetAttributes().GetLabels()
		uid := types.UID(labels[render.LabelPodUID])
		if out[uid] == nil {
			out[uid] = map[string]*runtimeapi.FilesystemUsage{}
		}
		out[uid][s.GetAttributes().GetMetadata().GetName()] = s.GetWritableLayer()
	}
	return out, nil
}

// stored adds to what is known of a pod what it has stored on the disk.
func (m *Manager) stored(ctx context.Context, pod *corev1.Pod, u Usage, layers map[string]*runtimeapi.FilesystemUsage) (Usage, error) {
	u.Known, u.Volumes = true, map[string]int64{}
	containers := make(map[string]ContainerUsage, len(layers))
	for c := range render.Containers(pod) {
		logs, inodes, err := diskUsage(ctx, filepath.Join(render.PodLogDir(m.host.LogRoot, pod), c.Name))
		if err != nil {
			return u, err
		}
		written := layers[c.Name]
		cu := ContainerUsage{Memory: u.Containers[c.Name].Memory, Disk: logs + int64(written.GetUsedBytes().GetValue())}
		containers[c.Name] = cu
		u.Disk += cu.Disk
		u.Inodes += inodes + int64(written.GetInodesUsed().GetValue())
	}
	u.Containers = containers
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.Medium == corev1.StorageMediumMemory {
			continue
		}
		bytes, inodes, err := diskUsage(ctx, m.host.EmptyDir(pod.UID, v.Name))
		if err != nil {
			return u, err
		}
		u.Volumes[v.Name] = bytes
		u.Disk, u.Inodes = u.Disk+bytes, u.Inodes+inodes
	}
	return u, nil
}
