// Package netspace makes network namespaces that further nodes of a cluster
// live in on one machine, wires them together, and runs code in them.
//
// A namespace is pinned by a bind mount of its file, so that it needs no
// process and is found again by its path. Whoever pinned it unpins it; nothing
// here keeps state of its own.
package netspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/base/thread"
)

// Ensure pins a network namespace at path, with its loopback link up; one that
// is pinned there already stays as it is.
func Ensure(path string) error {
	if pinned(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o400)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	_ = f.Close()
	err = thread.Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
	if err != nil {
		return errors.Join(fmt.Errorf("make the network namespace %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// pinned tells whether a namespace is mounted at path.
func pinned(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// Remove unpins the namespace at path; it goes when nothing runs in it any
// longer. One that is not there is no error.
func Remove(path string) error {
	for pinned(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("let go of the network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Do runs f on a thread of the namespace at path; an empty path is the
// caller's own. Processes that f starts and sockets that it opens belong to
// the namespace for good.
func Do(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return thread.Run(func() error {
		ns, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", path, err)
		}
		return f()
	})
}

// Exists tells whether a namespace is pinned at path.
func Exists(path string) bool { return path == "" || pinned(path) }
