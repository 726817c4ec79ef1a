// Package loopfs keeps file systems of a size in files: ext4 in a sparse file,
// mounted by way of a loop device that goes with the last mount. What is
// written to one takes space of the disk below, up to its size and no more.
//
// The package keeps no state: the file and its mount are all there is. Each
// function may be called again after one that was cut off.
package loopfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	blockSize = 4096
	// resizeFS is EXT4_IOC_RESIZE_FS of linux/ext4.h: _IOW('f', 16, __u64).
	resizeFS = 0x40086610
	// attachTries bounds how often another process may be faster to take a free
	// loop device.
	attachTries = 32
)

// ErrNotGrown says that the kernel does not let this process grow a file
// system: it lacks CAP_SYS_RESOURCE.
var ErrNotGrown = errors.New("growing a file system that is mounted needs CAP_SYS_RESOURCE")

// Make makes an empty file system of a size in bytes, unless the file is
// there. Only root may open it.
func Make(ctx context.Context, file string, size int64) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	half := file + ".new" // a file of the right name is whole
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(half, size); err != nil {
		return err
	}
	mkfs, err := program("mkfs.ext4")
	if err != nil {
		return err
	}
	said, err := exec.CommandContext(ctx, mkfs, "-q", "-F", "-m", "0", "-b", strconv.Itoa(blockSize), half).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", mkfs, err, bytes.TrimSpace(said))
	}
	return os.Rename(half, file)
}

// program finds a program of the system, also where PATH is a user's.
func program(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, name); unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: volumes whose size is a limit need it on their node (package e2fsprogs)", err)
	}
	return path, nil
}

// Mount mounts the file system in a file at a folder, on which none is
// mounted. Its root has no entries, and the mode, at the first time.
func Mount(file, dir string, mode fs.FileMode) error {
	device, err := attach(file)
	if err != nil {
		return fmt.Errorf("a loop device for %s: %w", file, err)
	}
	defer device.Close() // its mount keeps it
	if err := unix.Mount(device.Name(), dir, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", file, err)
	}
	if err := begin(dir, mode); err != nil {
		return errors.Join(err, unix.Unmount(dir, 0))
	}
	return nil
}

// begin makes the root of a new file system the user's.
func begin(dir string, mode fs.FileMode) error {
	created := filepath.Join(dir, "lost+found") // by mkfs; the check of a broken file system makes it again
	if _, err := os.Lstat(created); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Chmod(dir, mode); err != nil {
		return err
	}
	return os.Remove(created)
}

// attach gives a file a loop device, which is free again once it is neither
// open nor mounted.
func attach(file string) (*os.File, error) {
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range attachTries {
		var free int
		if free, err = unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE); err != nil {
			return nil, err
		}
		var device *os.File
		if device, err = loop(free); err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(device.Fd()), &config); err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			break
		}
	}
	return nil, err
}

func loop(number int) (*os.File, error) {
	return os.OpenFile(fmt.Sprint("/dev/loop", number), os.O_RDWR, 0)
}

// Grow gives the file system in a file, mounted at a folder, a size in bytes,
// unless it has as much. ErrNotGrown where the kernel does not allow it.
func Grow(file, dir string, size int64) error {
	var at unix.Stat_t
	if err := unix.Stat(dir, &at); err != nil {
		return err
	}
	device, err := loop(int(unix.Minor(at.Dev)))
	if err != nil {
		return err
	}
	defer device.Close()
	blocks := uint64(size / blockSize)
	if have, err := blocksOn(device); err != nil || have >= blocks {
		return err
	}
	if err := os.Truncate(file, size); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("the size of %s: %w", device.Name(), err)
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, _, failed := unix.Syscall(unix.SYS_IOCTL, root.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks)))
	switch failed {
	case 0:
		return nil
	case unix.EPERM:
		return ErrNotGrown
	}
	return fmt.Errorf("growing the file system at %s: %w", dir, failed)
}

// blocksOn is how many blocks the file system on a device has, by its
// superblock (s_blocks_count_lo and _hi of linux/fs/ext4/ext4.h).
func blocksOn(device *os.File) (uint64, error) {
	const superblock, low, high = 1024, 0x4, 0x150
	var block [high + 4]byte
	if _, err := device.ReadAt(block[:], superblock); err != nil {
		return 0, fmt.Errorf("reading the superblock of %s: %w", device.Name(), err)
	}
	return uint64(binary.LittleEndian.Uint32(block[low:])) | uint64(binary.LittleEndian.Uint32(block[high:]))<<32, nil
}
