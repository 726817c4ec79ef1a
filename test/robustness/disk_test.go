package robustness

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSize is that of the server's file system: room for what a long run
// keeps, and little to fill.
const diskSize = 512 << 20

// disk is a small file system, which can be filled.
type disk struct{ dir string }

// mountDisk makes a file system. It goes with this process's mount namespace.
func mountDisk(dir string) (*disk, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("robustness", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize)); err != nil {
		return nil, fmt.Errorf("mount a file system for the server: %w", err)
	}
	return &disk{dir: dir}, nil
}

func (d *disk) unmount() error { return unix.Unmount(d.dir, unix.MNT_DETACH) }

func (d *disk) fillPath() string { return filepath.Join(d.dir, "fill") }

// free is what is free, in bytes.
func (d *disk) free() (int64, error) {
	var fs unix.Statfs_t
	err := unix.Statfs(d.dir, &fs)
	return int64(fs.Bavail) * fs.Bsize, err
}

// fill takes all space but left bytes.
func (d *disk) fill(left int64) error {
	free, err := d.free()
	if err != nil {
		return err
	}
	f, err := os.Create(d.fillPath())
	if err != nil {
		return err
	}
	defer f.Close()
	if free <= left {
		return nil
	}
	// The server writes meanwhile: what it takes first is missing at the end.
	for take := free - left; take > 0; take -= 1 << 20 {
		if err = unix.Fallocate(int(f.Fd()), 0, 0, take); err == nil {
			return nil
		}
	}
	return fmt.Errorf("fill the file system: %w", err)
}

// empty gives back what fill took.
func (d *disk) empty() error { return os.Remove(d.fillPath()) }
