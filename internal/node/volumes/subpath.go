package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// SubPath binds a path inside a volume to a place of its own and returns that
// place. The path is made where it is missing. Links inside the volume are
// followed only as long as they stay inside.
func (m *Manager) SubPath(pod *corev1.Pod, volume Mounted, name, container string, index int, sub string) (string, error) {
	if !filepath.IsLocal(sub) {
		return "", fmt.Errorf("subPath %q leaves its volume", sub)
	}
	fd, err := openBeneath(volume.HostPath, sub, !volume.ReadOnly, perm(volume.HostPath))
	if err != nil {
		return "", fmt.Errorf("subPath %q: %w", sub, err)
	}
	defer unix.Close(fd)
	target := filepath.Join(m.PodDir(pod.UID), "volume-subpaths", name, container, strconv.Itoa(index))
	if err := placeFor(fd, target); err != nil {
		return "", err
	}
	// A restarted container gets its mounts anew: what was bound here before
	// may be another file by now.
	if err := unmountBelow(target); err != nil {
		return "", err
	}
	source := "/proc/self/fd/" + strconv.Itoa(fd)
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("subPath %q: bind: %w", sub, err)
	}
	return target, nil
}

func perm(dir string) fs.FileMode {
	info, err := os.Stat(dir)
	if err != nil {
		return 0o755
	}
	return info.Mode().Perm()
}

// placeFor makes an empty file or folder at target, of the kind of fd.
func placeFor(fd int, target string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.MkdirAll(target, 0o750)
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}

// openBeneath opens sub below root without ever leaving root; missing folders
// are made where create is set.
func openBeneath(root, sub string, create bool, mode fs.FileMode) (int, error) {
	base, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(base)
	fd, err := beneath(base, sub)
	if err == nil || !create || !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parts := strings.Split(filepath.Clean(sub), "/")
	for i := range parts {
		if err := makeBeneath(base, filepath.Join(parts[:i]...), parts[i], mode); err != nil {
			return -1, err
		}
	}
	return beneath(base, sub)
}

// beneath opens a path; the kernel refuses to leave base.
func beneath(base int, path string) (int, error) {
	if path == "" {
		path = "."
	}
	return unix.Openat2(base, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func makeBeneath(base int, parent, name string, mode fs.FileMode) error {
	dir, err := beneath(base, parent)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	err = unix.Mkdirat(dir, name, uint32(mode))
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return unix.Fchmodat(dir, name, uint32(mode), 0)
}
