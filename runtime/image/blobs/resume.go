package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// partPrefix begins the names of what an attempt to fetch a blob has left.
	partPrefix = "part-"
	// partAge is how long such a part is worth keeping.
	partAge = time.Hour
)

// Resume stores the content of size bytes that digest names, and goes on where
// an earlier attempt broke off, also one of an earlier process. open gives the
// content from an offset on, and says where it begins: there, or at zero where
// the source cannot skip. A second caller of the same digest waits.
func (s *Store) Resume(digest string, size int64, open func(from int64) (io.ReadCloser, int64, error)) error {
	target, err := s.path(digest)
	if err != nil {
		return err
	}
	defer s.locks.Lock(digest)()
	if _, there := s.Size(digest); there {
		return nil
	}
	part, err := os.OpenFile(filepath.Join(s.tmp, partPrefix+filepath.Base(target)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer part.Close()
	whole, err := fill(part, digest, size, open)
	if !whole {
		return err
	}
	if err != nil {
		// What is wrong does not become right by more of it.
		os.Remove(part.Name())
		return err
	}
	return os.Rename(part.Name(), target)
}

// fill brings a part to its end. whole tells that there is no more to come,
// with an error if what is there is not what digest names.
func fill(part *os.File, digest string, size int64, open func(int64) (io.ReadCloser, int64, error)) (whole bool, err error) {
	sum := sha256.New()
	have, err := io.Copy(sum, part)
	if err != nil {
		return false, err
	}
	if have < size || size == 0 {
		in, at, err := open(have)
		if err != nil {
			return false, err
		}
		defer in.Close()
		if at != have {
			if at != 0 {
				return false, fmt.Errorf("content begins at %d: wanted it from %d on", at, have)
			}
			sum.Reset()
			if err := part.Truncate(0); err != nil {
				return false, err
			}
			if _, err := part.Seek(0, io.SeekStart); err != nil {
				return false, err
			}
		}
		n, err := io.Copy(io.MultiWriter(part, sum), io.LimitReader(in, size-at+1))
		if err != nil {
			return false, err
		}
		have = at + n
	}
	switch got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); {
	case have < size:
		return false, io.ErrUnexpectedEOF
	case have > size:
		return true, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, size)
	case got != digest:
		return true, fmt.Errorf("%w: want %s, got %s", ErrDigest, digest, got)
	}
	return true, nil
}

// sweep removes working files, but for parts that may still be of use.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.tmp)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partPrefix) && !stale(e) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.tmp, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Abandon removes parts that nobody has gone on with for a while.
func (s *Store) Abandon() error {
	parts, err := filepath.Glob(filepath.Join(s.tmp, partPrefix+"*"))
	if err != nil {
		return err
	}
	for _, p := range parts {
		if fi, err := os.Stat(p); err == nil && stale(fs.FileInfoToDirEntry(fi)) {
			os.Remove(p)
		}
	}
	return nil
}

func stale(e fs.DirEntry) bool {
	fi, err := e.Info()
	return err == nil && time.Since(fi.ModTime()) > partAge
}
