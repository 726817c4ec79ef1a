package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// File is one file of a payload.
type File struct {
	Data []byte
	Mode fs.FileMode
	// UID owns the file where it is set (service account tokens of pods that
	// do not run as root).
	UID *int64
}

// Payload maps relative paths to files.
type Payload map[string]File

const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// write makes dir show the payload, atomically, and leaves it alone when it
// does already. group owns the files where it is not nil. Where an agent died
// in the middle the next one completes it.
func write(dir string, p Payload, group *int64) error {
	for name := range p {
		if !filepath.IsLocal(name) || strings.HasPrefix(name, "..") {
			return fmt.Errorf("path %q leaves its volume", name)
		}
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if old != "" && same(filepath.Join(dir, old), p) {
		return linkNames(dir, p)
	}
	fresh, err := os.MkdirTemp(dir, "..data-")
	if err != nil {
		return err
	}
	if err := fill(fresh, p, group); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := swap(dir, filepath.Base(fresh)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := linkNames(dir, p); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, filepath.Base(old)))
	}
	return nil
}

func swap(dir, target string) error {
	tmp := filepath.Join(dir, newDataLink)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, dataLink))
}

func fill(dir string, p Payload, group *int64) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for name, f := range p {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			return err
		}
		if err := own(path, f, group); err != nil {
			return err
		}
	}
	return nil
}

// own sets a file's owner and mode; a group that the pod runs with gets to
// read what the owner may.
func own(path string, f File, group *int64) error {
	mode := f.Mode
	uid, gid := -1, -1
	if f.UID != nil {
		uid = int(*f.UID)
	}
	if group != nil {
		gid = int(*group)
		mode |= 0o440
	}
	if uid != -1 || gid != -1 {
		if err := os.Lchown(path, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

// linkNames makes the top-level names of the payload links into ..data and
// removes those that are no longer in it.
func linkNames(dir string, p Payload) error {
	wanted := map[string]bool{}
	for name := range p {
		top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		wanted[top] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		if !wanted[name] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		delete(wanted, name)
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// same tells whether a folder holds exactly the payload's data.
func same(dir string, p Payload) bool {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		found = append(found, rel)
		return err
	})
	if err != nil || len(found) != len(p) {
		return false
	}
	sort.Strings(found)
	for _, name := range found {
		f, ok := p[name]
		if !ok {
			return false
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(data, f.Data) {
			return false
		}
	}
	return true
}
