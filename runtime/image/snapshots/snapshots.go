// Package snapshots unpacks image layers, each once, into folders named by
// chain ID, and lists them as overlayfs wants them. A folder that is there is
// whole: it gets its name after the layer was applied and checked.
package snapshots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/archive"

	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/keylock"
)

// nameLen is how much of a chain ID names a folder: long enough to be unique
// and short enough for a hundred layers in one page of mount options.
const nameLen = 24

// newPrefix begins the names of folders that are no layers: not yet, or not any more.
const newPrefix = "new-"

// Layer is a layer to unpack.
type Layer struct {
	// ChainID names the layer with all below it; see ChainIDs.
	ChainID string
	// DiffID is the digest of the uncompressed tar stream.
	DiffID string
	// Open opens the layer's blob, compressed or not.
	Open func() (io.ReadCloser, error)
}

// Store is a set of unpacked layers. It is safe for concurrent use.
type Store struct {
	dir   string
	limit int64
	locks keylock.Set
}

// Open opens the store in dir. A layer may have limit bytes unpacked.
func Open(dir string, limit int64) (*Store, error) {
	s := &Store{dir: dir, limit: limit}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	stale, err := filepath.Glob(filepath.Join(dir, newPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, d := range stale {
		if err := os.RemoveAll(d); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ChainIDs names each layer of a stack by the digest of itself and those below it (OCI image spec, "Layer ChainID").
func ChainIDs(diffIDs []string) []string {
	out := make([]string, len(diffIDs))
	for i, d := range diffIDs {
		out[i] = d
		if i > 0 {
			sum := sha256.Sum256([]byte(out[i-1] + " " + d))
			out[i] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return out
}

// Path returns the folder of a layer.
func (s *Store) Path(chainID string) (string, error) {
	h, err := blobs.Hex(chainID)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.dir, h[:nameLen]), nil
}

// Lower returns the folders of a stack, topmost first, as overlayfs wants them.
func (s *Store) Lower(chainIDs []string) ([]string, error) {
	out := make([]string, 0, len(chainIDs))
	for i := len(chainIDs) - 1; i >= 0; i-- {
		p, err := s.Path(chainIDs[i])
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Has says whether the layer is unpacked.
func (s *Store) Has(chainID string) bool {
	p, err := s.Path(chainID)
	if err != nil {
		return false
	}
	_, err = os.Stat(p)
	return err == nil
}

// Unpack applies l on top of the layers below, which must be unpacked, and
// returns how many bytes it holds. A layer that is there is left alone.
func (s *Store) Unpack(ctx context.Context, l Layer, below []string) (int64, error) {
	defer s.locks.Lock(l.ChainID)()
	dir, err := s.Path(l.ChainID)
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(dir); err == nil {
		return 0, nil
	}
	parents, err := s.Lower(below)
	if err != nil {
		return 0, err
	}
	tmp, err := os.MkdirTemp(s.dir, newPrefix)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	// The folder is the root of the container's file system, which everybody may enter.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return 0, err
	}
	n, err := s.apply(ctx, l, tmp, parents)
	if err != nil {
		return 0, fmt.Errorf("layer %s: %w", l.DiffID, err)
	}
	return n, os.Rename(tmp, dir)
}

func (s *Store) apply(ctx context.Context, l Layer, dir string, parents []string) (int64, error) {
	blob, err := l.Open()
	if err != nil {
		return 0, err
	}
	defer blob.Close()
	plain, err := Decompress(blob)
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	sum := sha256.New()
	stream := io.TeeReader(&bounded{r: plain, left: s.limit}, sum)
	n, err := archive.Apply(ctx, dir, stream,
		archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(parents))
	if err != nil {
		return 0, err
	}
	// The digest covers what follows the end of the archive as well.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return 0, err
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != l.DiffID {
		return 0, fmt.Errorf("%w: unpacked %s", blobs.ErrDigest, got)
	}
	return n, nil
}

// Prune takes every layer that keep does not name away, at once. What remove
// then deletes, after an error too, has no name any more, and may take as long
// as it is large.
func (s *Store) Prune(keep map[string]bool) (remove func() error, err error) {
	none := func() error { return nil }
	names := map[string]bool{}
	for chainID := range keep {
		p, err := s.Path(chainID)
		if err != nil {
			return none, err
		}
		names[filepath.Base(p)] = true
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return none, err
	}
	var away []string
	remove = func() error {
		var failed []error
		for _, dir := range away {
			failed = append(failed, os.RemoveAll(dir))
		}
		return errors.Join(failed...)
	}
	for _, e := range entries {
		if len(e.Name()) != nameLen || names[e.Name()] {
			continue
		}
		nameless := filepath.Join(s.dir, newPrefix+"del-"+e.Name())
		// Of an earlier deletion; a folder of their own would take room that a full disk has not.
		if err := os.RemoveAll(nameless); err != nil {
			return remove, err
		}
		if err := os.Rename(filepath.Join(s.dir, e.Name()), nameless); err != nil {
			return remove, err
		}
		away = append(away, nameless)
	}
	return remove, nil
}

// bounded fails once more than left bytes were read, so that a small blob cannot fill the disk.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, blobs.ErrTooLarge
	}
	return n, err
}
