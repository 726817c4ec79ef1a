package worker

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// mountList resolves the container's volume mounts and devices to paths of
// the node.
func (s *start) mountList(env []*runtimeapi.KeyValue) ([]*runtimeapi.Mount, []*runtimeapi.Device, error) {
	var out []*runtimeapi.Mount
	for i, m := range s.c.VolumeMounts {
		volume, ok := s.mounts[m.Name]
		if !ok {
			return nil, nil, fmt.Errorf("volume %q of container %q is not mounted", m.Name, s.c.Name)
		}
		mount, err := s.mount(i, m, volume, env)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, mount)
	}
	var devices []*runtimeapi.Device
	for _, d := range s.c.VolumeDevices {
		volume, ok := s.mounts[d.Name]
		if !ok || !volume.Device {
			return nil, nil, fmt.Errorf("volume %q of container %q is not a block device", d.Name, s.c.Name)
		}
		devices = append(devices, &runtimeapi.Device{ContainerPath: d.DevicePath, HostPath: volume.HostPath, Permissions: "mrw"})
	}
	return out, devices, nil
}

func (s *start) mount(index int, m corev1.VolumeMount, volume volumes.Mounted, env []*runtimeapi.KeyValue) (*runtimeapi.Mount, error) {
	sub := m.SubPath
	if m.SubPathExpr != "" {
		var err error
		if sub, err = expandPath(m.SubPathExpr, env); err != nil {
			return nil, err
		}
	}
	if volume.Image != nil {
		out := render.Mount(m, "", true)
		out.Image = &runtimeapi.ImageSpec{Image: volume.Image.Reference, UserSpecifiedImage: volume.Image.Reference}
		out.ImageSubPath = sub
		return out, nil
	}
	path := volume.HostPath
	if sub != "" {
		var err error
		if path, err = s.w.deps.Volumes.SubPath(s.pod, volume, m.Name, s.c.Name, index, sub); err != nil {
			return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, s.c.Name, err)
		}
	}
	out := render.Mount(m, path, volume.ReadOnly)
	out.SelinuxRelabel = volume.Own
	return out, nil
}

// expandPath expands a subPathExpr; a name without a value is an error.
func expandPath(expr string, env []*runtimeapi.KeyValue) (string, error) {
	var missing string
	out := render.Expand(expr, func(name string) (string, bool) {
		for _, kv := range env {
			if kv.Key == name {
				return string(kv.Value), true
			}
		}
		missing = name
		return "", false
	})
	if missing != "" {
		return "", fmt.Errorf("missing value for %q", missing)
	}
	return out, nil
}
