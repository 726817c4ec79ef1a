package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// What a group gets of files and folders of its volumes.
const (
	groupFile   = fs.FileMode(0o660)
	groupFolder = groupFile | 0o110 | fs.ModeSetgid
)

// giveToGroup makes the pod's fsGroup, if it names one, the group of all that
// lies in a volume, once in the pod's life. Under OnRootMismatch the volume's
// own folder tells whether that was done before (KEP-695).
func (m *Manager) giveToGroup(pod *corev1.Pod, volume, dir string) error {
	group := fsGroup(pod)
	if group == nil {
		return nil
	}
	done := m.volumeDir(pod.UID, "fs-group", volume)
	if _, err := os.Lstat(done); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	policy := pod.Spec.SecurityContext.FSGroupChangePolicy
	if policy == nil || *policy != corev1.FSGroupChangeOnRootMismatch || !hasGroup(dir, *group) {
		if err := chgrp(dir, int(*group)); err != nil {
			return fmt.Errorf("give the volume to the group %d: %w", *group, err)
		}
	}
	return makeDir(done, 0o700)
}

// hasGroup tells whether a volume's own folder is as chgrp leaves it.
func hasGroup(dir string, group int64) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	want := groupFolder.Perm()
	return ok && int64(stat.Gid) == group && info.Mode().Perm()&want == want && info.Mode()&fs.ModeSetgid != 0
}

// chgrp changes group and mode of a folder and of all below it. It does not
// leave the folder, whatever lies there points to, and what goes meanwhile is
// no error.
func chgrp(dir string, group int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = give(root, path, d, group)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// give changes one file. A link's own mode means nothing, and that of what it
// points to is not changed.
func give(root *os.Root, path string, d fs.DirEntry, group int) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if err := root.Lchown(path, -1, group); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if info.IsDir() {
		mode |= groupFolder
	} else {
		mode |= groupFile
	}
	return root.Chmod(path, mode)
}
