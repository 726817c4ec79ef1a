package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/volumes/loopfs"
)

// sizedFile holds the file system of a volume whose size is a limit. It is
// mounted at the volume's folder from its first use until the node leaves.
func (m *Manager) sizedFile(name string) string { return filepath.Join(m.root, "sized", name) }

// sized makes and mounts the file system of a volume, unless that was done.
func (m *Manager) sized(ctx context.Context, v *corev1.PersistentVolume, dir string) error {
	m.sizing.Lock()
	defer m.sizing.Unlock()
	mounted, err := isMountPoint(dir)
	if err != nil {
		return err
	}
	if !mounted {
		file := m.sizedFile(v.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := loopfs.Make(ctx, file, sizeOf(v)); err != nil {
			return fmt.Errorf("the file of volume %q: %w", v.Name, err)
		}
		if err := loopfs.Mount(file, dir, 0o777); err != nil {
			return err
		}
	}
	if err := m.growLocked(ctx, v, dir); !errors.Is(err, loopfs.ErrNotGrown) {
		return err
	}
	return nil // its pods run with what it has; the claim tells
}

func sizeOf(v *corev1.PersistentVolume) int64 {
	size := v.Spec.Capacity[corev1.ResourceStorage]
	return size.Value()
}

// grow brings a volume that is in use to its size.
func (m *Manager) grow(ctx context.Context, v *corev1.PersistentVolume) error {
	if !localvolume.Limited(v) {
		return nil
	}
	m.sizing.Lock()
	defer m.sizing.Unlock()
	dir := filepath.Join(LocalDir(m.root), v.Name)
	if mounted, err := isMountPoint(dir); err != nil || !mounted {
		return err
	}
	return m.growLocked(ctx, v, dir)
}

func (m *Manager) growLocked(ctx context.Context, v *corev1.PersistentVolume, dir string) error {
	if err := loopfs.Grow(m.sizedFile(v.Name), dir, sizeOf(v)); err != nil {
		return err
	}
	return m.showSize(ctx, v)
}

// showTries bounds how often a claim's status is written anew where others
// write it too.
const showTries = 5

// showSize tells in the claim's status that its volume has its size: the end
// of an expansion (KEP-1790).
func (m *Manager) showSize(ctx context.Context, v *corev1.PersistentVolume) error {
	if v.Spec.ClaimRef == nil {
		return nil
	}
	claims := client.For[*corev1.PersistentVolumeClaim](m.client)
	var err error
	for range showTries {
		var claim *corev1.PersistentVolumeClaim
		claim, err = claims.Get(ctx, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name)
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			return nil // no pod here uses it: the next one's mount tells
		}
		if err != nil {
			return err
		}
		next := expanded(claim, v)
		if next == nil {
			return nil
		}
		if _, err = claims.UpdateStatus(ctx, next); !apierrors.IsConflict(err) {
			return err
		}
	}
	return err
}

// expanded is a claim that shows its volume's size; nil where it does.
func expanded(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) *corev1.PersistentVolumeClaim {
	shown, has := claim.Status.Capacity[corev1.ResourceStorage], v.Spec.Capacity[corev1.ResourceStorage]
	if claim.UID != v.Spec.ClaimRef.UID || shown.Cmp(has) >= 0 {
		return nil
	}
	out := claim.DeepCopy()
	out.Status.Capacity = v.Spec.Capacity.DeepCopy()
	out.Status.AllocatedResources = v.Spec.Capacity.DeepCopy()
	out.Status.Conditions = slices.DeleteFunc(out.Status.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == corev1.PersistentVolumeClaimFileSystemResizePending
	})
	return out
}
