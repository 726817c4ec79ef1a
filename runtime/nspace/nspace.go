// Package nspace makes the namespaces of pods and runs code in them. A
// namespace is pinned by a bind mount, so that it needs no process; whoever
// pinned it unpins it.
package nspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Kind is a namespace that a pod's containers can share.
type Kind struct {
	// Name is what the file in /proc/self/ns is called.
	Name string
	Flag int
}

// The kinds of namespaces that are pinned.
var (
	Net = Kind{"net", unix.CLONE_NEWNET}
	IPC = Kind{"ipc", unix.CLONE_NEWIPC}
	UTS = Kind{"uts", unix.CLONE_NEWUTS}
	// User is made by a process of its own; see PinOf.
	User = Kind{"user", unix.CLONE_NEWUSER}
)

// Path is where the namespace of a kind is pinned in dir.
func Path(dir string, k Kind) string { return filepath.Join(dir, k.Name) }

// Create makes new namespaces, runs setup in them on a thread of its own, and
// pins them in dir. On an error nothing stays.
func Create(dir string, kinds []Kind, setup func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := OnThread(func() error {
		flags := 0
		for _, k := range kinds {
			flags |= k.Flag
		}
		if err := unix.Unshare(flags); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		if err := setup(); err != nil {
			return err
		}
		for _, k := range kinds {
			if err := pin(dir, k, "thread-self"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, Remove(dir))
	}
	return nil
}

// OnThread runs f on a thread that begins and ends with it, so that what f did
// to the thread stays with no other goroutine, and children of the thread are
// those that f made. It is never the process's first thread: that one cannot
// end, and /proc/self tells its namespaces as the process's.
func OnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this one holds the first thread, the next gets another.
			defer runtime.UnlockOSThread()
			done <- OnThread(f)
			return
		}
		done <- f() // never unlocked: the thread ends here
	}()
	return <-done
}

// PinOf pins namespaces of a process in dir. On an error nothing stays.
func PinOf(pid int, dir string, kinds []Kind) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, k := range kinds {
		if err := pin(dir, k, strconv.Itoa(pid)); err != nil {
			return errors.Join(err, Remove(dir))
		}
	}
	return nil
}

// pin keeps the namespace of a process, as /proc names it.
func pin(dir string, k Kind, process string) error {
	target := Path(dir, k)
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount("/proc/"+process+"/ns/"+k.Name, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("pin %s namespace: %w", k.Name, err)
	}
	return nil
}

// Pinned says whether a namespace is pinned at path.
func Pinned(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// Remove unpins whatever is pinned in dir and removes dir. It may be repeated.
func Remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := unix.Unmount(filepath.Join(dir, e.Name()), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unpin namespace: %w", err)
		}
	}
	return os.RemoveAll(dir)
}

// Do runs f on a thread in the namespace pinned at path. f must not start
// goroutines that count on it. Sockets that f opens stay in the namespace.
func Do(path string, k Kind, f func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s namespace %s: %w", k.Name, path, err)
	}
	defer unix.Close(fd)
	return OnThread(func() error {
		if err := unix.Setns(fd, k.Flag); err != nil {
			return fmt.Errorf("enter %s namespace: %w", k.Name, err)
		}
		return f()
	})
}
