package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Bounds of a container's log: the size at which a file is rotated, and the
// number of files that are kept, with the current one.
const (
	MaxSize  = 10 << 20
	MaxFiles = 5
)

func dirOf(path string) string { return filepath.Dir(path) }

// Rotate renames the log when it has grown beyond size, makes the runtime
// open a new one and removes the oldest beyond keep files. It tells whether
// it did.
func Rotate(path string, size int64, keep int, now time.Time, reopen func() error) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.Size() < size {
		return false, err
	}
	aside := path + "." + now.UTC().Format("20060102-150405.000000")
	if err := os.Rename(path, aside); err != nil {
		return false, err
	}
	if err := reopen(); err != nil {
		// Put it back: the runtime still writes to it.
		return false, errors.Join(fmt.Errorf("reopen %s: %w", path, err), os.Rename(aside, path))
	}
	paths, err := files(path)
	if err != nil {
		return true, err
	}
	var errs []error
	for i := 0; i < len(paths)-keep; i++ {
		errs = append(errs, os.Remove(paths[i]))
	}
	return true, errors.Join(errs...)
}
