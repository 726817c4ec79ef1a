package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"github.com/opencontainers/selinux/go-selinux/label"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/spec"
)

// maxMountOptions is how long the options of mount(2) may be: a page.
const maxMountOptions = 4000

func (m *Manager) rootfs(id string) string { return filepath.Join(m.state(id), "rootfs") }

// Upper is the folder of what a container has written to its root file system.
func (m *Manager) Upper(id string) string { return filepath.Join(m.dir(id), "upper") }

// mountRootfs mounts the container's root file system and returns where.
func (m *Manager) mountRootfs(id string, layers []string, users *users, labels spec.Labels) (string, error) {
	lower, err := m.cfg.Images.Lower(layers)
	if err != nil {
		return "", err
	}
	target, upper, work := m.rootfs(id), m.Upper(id), filepath.Join(m.dir(id), "work")
	for _, dir := range []string{target, upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	if len(lower) == 0 {
		empty := filepath.Join(m.state(id), "empty")
		if err := os.MkdirAll(empty, 0o755); err != nil {
			return "", err
		}
		lower = []string{empty}
	}
	lower, done, err := users.mapped(lower, filepath.Join(m.state(id), lowerPrefix+"root"))
	if err != nil {
		return "", err
	}
	defer done()
	if err := users.own(upper); err != nil {
		return "", err
	}
	if err := mountOverlay(target, lower, upper, work, labels.File); err != nil {
		return "", fmt.Errorf("mount root file system: %w", err)
	}
	return target, nil
}

// mountOverlay leaves out syncing of the upper layer, which dies with its
// container. All files have the SELinux label context, unless that is empty.
func mountOverlay(target string, lower []string, upper, work, context string) error {
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upper + ",workdir=" + work + ",index=off"
	options = label.FormatMountLabel(options, context)
	if len(options) > maxMountOptions {
		return mountLongOverlay(target, lower, upper, work, context)
	}
	err := unix.Mount("overlay", target, "overlay", 0, options+",volatile")
	if errors.Is(err, unix.EINVAL) { // before Linux 5.10
		err = unix.Mount("overlay", target, "overlay", 0, options)
	}
	return err
}

// mountLongOverlay adds the lower layers one by one, which needs Linux 6.8.
func mountLongOverlay(target string, lower []string, upper, work, context string) error {
	ctx, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(ctx)
	for _, l := range lower {
		if err := unix.FsconfigSetString(ctx, "lowerdir+", l); err != nil {
			return fmt.Errorf("%d layers need Linux 6.8 or newer: %w", len(lower), err)
		}
	}
	for _, kv := range [][2]string{{"upperdir", upper}, {"workdir", work}, {"context", context}} {
		if kv[1] == "" {
			continue
		}
		if err := unix.FsconfigSetString(ctx, kv[0], kv[1]); err != nil {
			return err
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return err
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mountImage mounts an image read-only.
func mountImage(target string, lower []string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	switch len(lower) {
	case 0:
		return nil
	case 1:
		// An overlay without an upper layer needs two lower ones.
		if err := unix.Mount(lower[0], target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	options := "lowerdir=" + strings.Join(lower, ":")
	if len(options) > maxMountOptions {
		return mountLongOverlay(target, lower, "", "", "")
	}
	return unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, options)
}

// relabel gives files, and what is below them, the container's SELinux label.
// File systems that keep no labels stay as they are.
func relabel(labels spec.Labels, paths ...string) error {
	for _, p := range paths {
		if p == "" {
			continue
		}
		if err := label.Relabel(p, labels.File, false); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("label %s for SELinux: %w", p, err)
		}
	}
	return nil
}

// unmount takes a mount away. What is not mounted, or not there, is no error.
func unmount(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// accounts reads a container's account files, whose links must not lead out of it.
type accounts struct{ rootfs string }

func (a accounts) Passwd() (io.ReadCloser, error) { return openIn(a.rootfs, "/etc/passwd") }
func (a accounts) Group() (io.ReadCloser, error)  { return openIn(a.rootfs, "/etc/group") }

func openIn(root, path string) (io.ReadCloser, error) {
	handle, err := pathrs.OpenInRoot(root, path)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	fi, err := handle.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return pathrs.Reopen(handle, os.O_RDONLY)
}

func pidNamespace(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/ns/pid" }
