// Package blobs is the content store: files named by the SHA-256 of what they
// hold. A file that is there is whole and right; whatever is being written has
// a name of its own until its digest was checked.
package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knarr-io/knarr/runtime/keylock"
)

// ErrDigest says that content does not have the digest that it should have.
var ErrDigest = errors.New("content does not match its digest")

// ErrTooLarge says that content is longer than it may be.
var ErrTooLarge = errors.New("content is larger than allowed")

// Store is a content store in a folder. It is safe for concurrent use.
type Store struct {
	dir   string
	tmp   string
	locks keylock.Set
}

// Open opens the store in dir and removes what an
// earlier process left half written, but for what Resume may go on with.
func Open(dir string) (*Store, error) {
	s := &Store{dir: filepath.Join(dir, "sha256"), tmp: filepath.Join(dir, "ingest")}
	if err := s.sweep(); err != nil {
		return nil, err
	}
	for _, d := range []string{s.dir, s.tmp} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Hex returns the hexadecimal part of a sha256 digest.
func Hex(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(h) != 2*sha256.Size {
		return "", fmt.Errorf("unsupported digest %q", digest)
	}
	if _, err := hex.DecodeString(h); err != nil {
		return "", fmt.Errorf("unsupported digest %q", digest)
	}
	return strings.ToLower(h), nil
}

// Digest is the digest of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (s *Store) path(digest string) (string, error) {
	h, err := Hex(digest)
	return filepath.Join(s.dir, h), err
}

// Open opens the blob for reading. The error is fs.ErrNotExist if it is not there.
func (s *Store) Open(digest string) (*os.File, error) {
	p, err := s.path(digest)
	if err != nil {
		return nil, err
	}
	return os.Open(p)
}

// Read returns a blob of at most limit bytes.
func (s *Store) Read(digest string, limit int64) ([]byte, error) {
	f, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: %w", digest, ErrTooLarge)
	}
	return data, err
}

// Size returns the blob's size, and whether it is there.
func (s *Store) Size(digest string) (int64, bool) {
	p, err := s.path(digest)
	if err != nil {
		return 0, false
	}
	fi, err := os.Stat(p)
	if err != nil {
		return 0, false
	}
	return fi.Size(), true
}

// Put stores what r gives. If digest is not empty the content must have it.
// At most limit bytes are read. It returns the digest and the size.
func (s *Store) Put(r io.Reader, digest string, limit int64) (string, int64, error) {
	tmp, err := os.CreateTemp(s.tmp, "")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, sum), io.LimitReader(r, limit+1))
	if err != nil {
		return "", 0, err
	}
	if n > limit {
		return "", 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	got := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if digest != "" && got != digest {
		return "", 0, fmt.Errorf("%w: want %s, got %s", ErrDigest, digest, got)
	}
	p, err := s.path(got)
	if err != nil {
		return "", 0, err
	}
	return got, n, os.Rename(tmp.Name(), p)
}

// PutBytes stores data.
func (s *Store) PutBytes(data []byte) (string, error) {
	d, _, err := s.Put(strings.NewReader(string(data)), "", int64(len(data)))
	return d, err
}

// Delete removes the blob. One that is not there is no error.
func (s *Store) Delete(digest string) error {
	p, err := s.path(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List returns the digests of every blob.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = "sha256:" + e.Name()
	}
	return out, nil
}

// TempDir makes a folder for working files; the caller removes it.
func (s *Store) TempDir() (string, error) { return os.MkdirTemp(s.tmp, "") }
