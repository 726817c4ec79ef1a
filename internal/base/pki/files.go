package pki

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// file is one file to be written.
type file struct {
	name string
	data []byte
}

// writeFiles puts every file in place with mode 0600, each whole or not at
// all, and all of them on the disk when it returns. The syncs run at the same
// time, so that a journalling file system takes them in one commit.
func writeFiles(dir string, files []file) (err error) {
	if len(files) == 0 {
		return nil
	}
	temporary := make([]string, len(files))
	defer func() {
		for _, name := range temporary {
			if err != nil && name != "" {
				err = errors.Join(err, removeIfThere(name))
			}
		}
	}()
	var group errgroup.Group
	for i, f := range files {
		group.Go(func() error {
			name, err := writeTemporary(dir, f)
			temporary[i] = name
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, f := range files {
		if err := os.Rename(temporary[i], filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("put %s in place: %w", f.name, err)
		}
	}
	return syncDir(dir)
}

// writeTemporary leaves f under a fresh name in dir. os.CreateTemp opens with
// O_EXCL and mode 0600.
func writeTemporary(dir string, f file) (name string, err error) {
	tmp, err := os.CreateTemp(dir, "."+f.name+".*")
	if err != nil {
		return "", fmt.Errorf("write %s: %w", f.name, err)
	}
	defer func() { err = errors.Join(err, tmp.Close()) }()
	if _, err := tmp.Write(f.data); err != nil {
		return tmp.Name(), fmt.Errorf("write %s: %w", f.name, err)
	}
	if err := tmp.Sync(); err != nil {
		return tmp.Name(), fmt.Errorf("sync %s: %w", f.name, err)
	}
	return tmp.Name(), nil
}

func removeIfThere(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
