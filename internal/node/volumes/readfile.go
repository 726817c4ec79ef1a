package volumes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of a file in a volume.
const maxFile = 1 << 20

// ReadFile reads a file that a pod wrote into the volume. The volume's folder is
// the root of its path and of all links on the way; what is no regular file, or
// larger than a MiB, is refused.
func (v Mounted) ReadFile(path string) (string, error) {
	if v.HostPath == "" {
		return "", errors.New("the volume has no folder")
	}
	root, err := unix.Open(v.HostPath, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: v.HostPath, Err: err}
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, // a pipe would hold the agent up
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	switch is, err := f.Stat(); {
	case err != nil:
		return "", err
	case !is.Mode().IsRegular():
		return "", errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return string(text), err
}
