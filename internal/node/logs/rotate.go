package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Policy bounds a container's log.
type Policy struct {
	// MaxSize is the size, in bytes, at which a file is rotated; MaxFiles how many
	// are kept, with the current one.
	MaxSize  int64
	MaxFiles int
	// Every is how often sizes are looked at.
	Every time.Duration
}

// DefaultPolicy is upstream's.
func DefaultPolicy() Policy { return Policy{MaxSize: 10 << 20, MaxFiles: 5, Every: 10 * time.Second} }

// Rotate renames the log when it has grown beyond its bound, makes the runtime
// open a new one and removes the oldest files beyond those that are kept. It
// tells whether it did.
func (p Policy) Rotate(path string, now time.Time, reopen func() error) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.Size() < p.MaxSize {
		return false, err
	}
	aside := path + "." + now.UTC().Format("20060102-150405.000000")
	if err := os.Rename(path, aside); err != nil {
		return false, err
	}
	if err := reopen(); err != nil {
		return false, errors.Join(fmt.Errorf("reopen %s: %w", path, err), putBack(aside, path))
	}
	paths, err := files(path)
	if err != nil {
		return true, err
	}
	var errs []error
	for i := 0; i < len(paths)-p.MaxFiles; i++ {
		errs = append(errs, os.Remove(paths[i]))
	}
	return true, errors.Join(errs...)
}

// putBack gives a file its name again, since the runtime still writes to it,
// unless the runtime has a new one: then only its answer was lost.
func putBack(aside, path string) error {
	err := os.Link(aside, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Remove(aside)
}
