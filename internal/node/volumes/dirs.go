package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/client"
)

func (m *Manager) emptyDir(pod *corev1.Pod, v *corev1.Volume) (Mounted, error) {
	dir := m.volumeDir(pod.UID, "empty-dir", v.Name)
	_, err := os.Lstat(dir)
	isNew := errors.Is(err, fs.ErrNotExist)
	if isNew {
		if err := makeDir(dir, 0o777); err != nil {
			return Mounted{}, err
		}
	}
	switch medium := v.EmptyDir.Medium; medium {
	case corev1.StorageMediumDefault:
	case corev1.StorageMediumMemory:
		if err := ensureTmpfs(dir, memoryLimit(pod, v)); err != nil {
			return Mounted{}, fmt.Errorf("mount tmpfs: %w", err)
		}
	default:
		return Mounted{}, fmt.Errorf("storage medium %q is not supported on this node", medium)
	}
	if group := fsGroup(pod); group != nil && isNew {
		if err := os.Chown(dir, -1, int(*group)); err != nil {
			return Mounted{}, err
		}
		if err := os.Chmod(dir, 0o777|fs.ModeSetgid); err != nil {
			return Mounted{}, err
		}
	}
	return Mounted{HostPath: dir}, nil
}

// memoryLimit is the size of a tmpfs: its own limit and the pod's memory
// limit, whichever is less; zero where there is neither.
func memoryLimit(pod *corev1.Pod, v *corev1.Volume) int64 {
	limit := int64(0)
	if v.EmptyDir.SizeLimit != nil {
		limit = v.EmptyDir.SizeLimit.Value()
	}
	sum := int64(0)
	for i := range pod.Spec.Containers {
		one := pod.Spec.Containers[i].Resources.Limits.Memory().Value()
		if one == 0 {
			return limit
		}
		sum += one
	}
	if limit == 0 || (sum > 0 && sum < limit) {
		return sum
	}
	return limit
}

// hostPath checks, and where asked makes, a path of the node.
func hostPath(src *corev1.HostPathVolumeSource) (Mounted, error) {
	kind := corev1.HostPathUnset
	if src.Type != nil {
		kind = *src.Type
	}
	switch kind {
	case corev1.HostPathDirectoryOrCreate:
		if err := os.MkdirAll(src.Path, 0o755); err != nil {
			return Mounted{}, err
		}
	case corev1.HostPathFileOrCreate:
		f, err := os.OpenFile(src.Path, os.O_CREATE|os.O_RDONLY, 0o644)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, unix.EISDIR) {
			return Mounted{}, err
		}
	}
	if err := checkType(src.Path, kind); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: src.Path}, nil
}

func checkType(path string, kind corev1.HostPathType) error {
	if kind == corev1.HostPathUnset {
		return nil
	}
	info, err := os.Stat(path)
	mode := fs.FileMode(0)
	if err == nil {
		mode = info.Mode()
	}
	ok, what := false, ""
	switch kind {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		ok, what = mode.IsDir(), "a directory"
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		ok, what = err == nil && mode.IsRegular(), "a file"
	case corev1.HostPathSocket:
		ok, what = mode&fs.ModeSocket != 0, "a socket file"
	case corev1.HostPathCharDev:
		ok, what = mode&fs.ModeCharDevice != 0, "a character device"
	case corev1.HostPathBlockDev:
		ok, what = mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0, "a block device"
	default:
		return fmt.Errorf("%s is an invalid volume type", kind)
	}
	if !ok {
		return fmt.Errorf("hostPath type check failed: %s is not %s", path, what)
	}
	return nil
}

// claim resolves a bound claim to its volume, as far as the volume lies on
// this machine (hostPath and local).
func (m *Manager) claim(ctx context.Context, pod *corev1.Pod, volume, name string, readOnly bool) (Mounted, error) {
	pvc, err := client.For[*corev1.PersistentVolumeClaim](m.client).Get(ctx, pod.Namespace, name)
	if err != nil {
		return Mounted{}, fmt.Errorf("claim %q: %w", name, err)
	}
	if pvc.Status.Phase != corev1.ClaimBound || pvc.Spec.VolumeName == "" {
		return Mounted{}, fmt.Errorf("claim %q is not bound to a volume", name)
	}
	pv, err := client.For[*corev1.PersistentVolume](m.client).Get(ctx, "", pvc.Spec.VolumeName)
	if err != nil {
		return Mounted{}, fmt.Errorf("volume %q of claim %q: %w", pvc.Spec.VolumeName, name, err)
	}
	device := pv.Spec.VolumeMode != nil && *pv.Spec.VolumeMode == corev1.PersistentVolumeBlock
	var mounted Mounted
	switch {
	case localvolume.Ours(pv):
		mounted, err = m.provisioned(ctx, pv)
	case pv.Spec.HostPath != nil:
		mounted, err = hostPath(pv.Spec.HostPath)
	case pv.Spec.Local != nil:
		mounted = Mounted{HostPath: pv.Spec.Local.Path}
		_, err = os.Stat(pv.Spec.Local.Path)
	default:
		err = fmt.Errorf("volume %q is of a type that this node has no plugin for", pv.Name)
	}
	if err == nil && pv.Spec.Local != nil && !device && !readOnly {
		err = m.giveToGroup(pod, volume, mounted.HostPath)
	}
	mounted.ReadOnly = readOnly
	mounted.Device = device
	return mounted, err
}

// File makes a file of the pod that is no volume, such as its /etc/hosts.
func (m *Manager) File(pod *corev1.Pod, name string, data []byte, mode fs.FileMode) (string, error) {
	path := filepath.Join(m.PodDir(pod.UID), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return "", err
	}
	// WriteFile's mode is cut by the umask, and not applied to an old file.
	return path, os.Chmod(path, mode)
}
