// Package archives reads and writes images as tar files: what docker save
// writes, and OCI image layouts. An archive comes from a stranger: every size
// is bounded, no path in it is used as a path, and every digest is checked.
package archives

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/snapshots"
)

const (
	maxEntries  = 20000
	maxDocument = 8 << 20
	maxTotal    = 256 << 30
)

// files is an extracted archive: clean member name to what holds its content.
type files struct {
	dir   string
	paths map[string]string
	links map[string]string
}

// extract writes the members of a tar stream, packed or not, into dir under names of our own.
func extract(r io.Reader, dir string) (*files, error) {
	plain, err := snapshots.Decompress(r)
	if err != nil {
		return nil, Corrupt(err)
	}
	defer plain.Close()
	f := &files{dir: dir, paths: map[string]string{}, links: map[string]string{}}
	in := tar.NewReader(io.LimitReader(plain, maxTotal))
	for n := 0; ; n++ {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return f, f.check()
		}
		if err != nil {
			return nil, Corrupt(err)
		}
		if n >= maxEntries {
			return nil, fault.New(fault.Invalid, "archive has more than %d members", maxEntries)
		}
		if err := f.add(head, in, n); err != nil {
			return nil, err
		}
	}
}

// check refuses what is no image archive at all, such as an empty file.
func (f *files) check() error {
	if f.has("index.json") || f.has("manifest.json") {
		return nil
	}
	return fault.New(fault.Invalid, "archive is not an image: it has neither manifest.json nor index.json")
}

func (f *files) add(head *tar.Header, r io.Reader, n int) error {
	member := clean(head.Name)
	switch head.Typeflag {
	case tar.TypeReg:
		target := filepath.Join(f.dir, strconv.Itoa(n))
		out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		if cerr := out.Close(); cerr != nil && err == nil {
			return cerr
		}
		if err != nil {
			return Corrupt(err)
		}
		f.paths[member] = target
	case tar.TypeSymlink:
		f.links[member] = clean(path.Join(path.Dir(member), head.Linkname))
	case tar.TypeLink:
		f.links[member] = clean(head.Linkname)
	}
	return nil
}

// clean makes a member name comparable. It is a map key and never a path.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (f *files) has(member string) bool {
	_, err := f.path(member)
	return err == nil
}

// path follows links inside the archive, a few.
func (f *files) path(member string) (string, error) {
	at := clean(member)
	for range 8 {
		if p, ok := f.paths[at]; ok {
			return p, nil
		}
		next, ok := f.links[at]
		if !ok {
			break
		}
		at = next
	}
	return "", fault.New(fault.Invalid, "archive is incomplete: %s is missing", member)
}

// document reads a small member whole.
func (f *files) document(member string) ([]byte, error) {
	p, err := f.path(member)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxDocument {
		return nil, fault.New(fault.Invalid, "archive: %s has %d bytes", member, fi.Size())
	}
	return os.ReadFile(p)
}

// Corrupt blames the archive for a failure that is not the system's.
func Corrupt(err error) error {
	for _, system := range []error{context.Canceled, unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.EPERM, unix.EACCES, unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, system) {
			return err
		}
	}
	return fault.As(fault.Invalid, fmt.Errorf("archive is corrupt: %w", err))
}
