package keeper

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// watchSocket returns a file that becomes readable whenever something appears
// in the socket's folder.
func watchSocket(socket string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	dir := filepath.Dir(socket)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// descriptors returns the numbers of files without making them blocking, as
// File.Fd may. The files stay open until release.
func descriptors(files []*os.File) (fds []int, release func(), err error) {
	release = func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, release, err
		}
		var dup int
		var derr error
		if err := raw.Control(func(fd uintptr) { dup, derr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
			return nil, release, err
		}
		if derr != nil {
			return nil, release, derr
		}
		fds = append(fds, dup)
	}
	return fds, release, nil
}
