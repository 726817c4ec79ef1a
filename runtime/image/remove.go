package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/name"
)

// Untag takes a name from its image and removes the image if that was its last tag.
func (s *Store) Untag(ref string) error {
	parsed, err := name.Parse(ref)
	s.mu.Lock()
	img := s.images[s.names[parsed.String()]]
	if err != nil || img == nil {
		s.mu.Unlock()
		return s.Remove(ref)
	}
	err = s.untagLocked(img, parsed.String())
	left := s.images[img.ID]
	// Under the same lock: a pull that gives the image a tag after it keeps it.
	if err == nil && len(left.Tags) == 0 {
		err = s.removeLocked(left)
	}
	s.mu.Unlock()
	if err != nil || len(left.Tags) > 0 {
		return err
	}
	return s.Collect()
}

// Remove removes an image with all its names. The class of the error is NotFound if there is none.
func (s *Store) Remove(ref string) error {
	s.mu.Lock()
	img, err := s.getLocked(ref)
	if err == nil {
		err = s.removeLocked(img)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Collect()
}

// removeLocked forgets an image; what is on the disk of it is for Collect.
func (s *Store) removeLocked(img *Image) error {
	h, err := blobs.Hex(img.ID)
	if err == nil {
		err = os.Remove(filepath.Join(s.dir, h+".json"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(s.images, img.ID)
	for _, n := range img.names() {
		if s.names[n] == img.ID {
			delete(s.names, n)
		}
	}
	return nil
}

// Collect removes blobs and layers that nothing needs, now or when what is coming in has come.
func (s *Store) Collect() error {
	s.mu.Lock()
	s.garbage = true
	remove, err := s.collectLocked()
	s.mu.Unlock()
	return errors.Join(err, remove())
}

// collectLocked takes away what nothing needs. What is large has lost its name
// only: remove deletes it, for which nobody else has to wait.
func (s *Store) collectLocked() (remove func() error, err error) {
	none := func() error { return nil }
	if s.ingests > 0 || !s.garbage {
		return none, nil
	}
	s.garbage = false
	keepBlobs := map[string]bool{}
	for _, img := range s.images {
		keepBlobs[img.ID], keepBlobs[img.Manifest] = true, true
		for _, l := range img.Layers {
			keepBlobs[l.Digest] = true
		}
	}
	all, err := s.blobs.List()
	if err != nil {
		return none, err
	}
	for _, d := range all {
		if !keepBlobs[d] {
			if err := s.blobs.Delete(d); err != nil {
				return none, err
			}
		}
	}
	if err := s.blobs.Abandon(); err != nil {
		return none, err
	}
	return s.layers.Prune(s.neededLocked())
}

// neededLocked are the layers of images and containers.
func (s *Store) neededLocked() map[string]bool {
	needed := map[string]bool{}
	for _, img := range s.images {
		for _, l := range img.Layers {
			needed[l.ChainID] = true
		}
	}
	for _, chain := range s.retained {
		for _, id := range chain {
			needed[id] = true
		}
	}
	return needed
}

// Retain keeps layers for key until Release, whatever becomes of their image.
func (s *Store) Retain(key string, chainIDs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retained[key] = chainIDs
}

// Release ends a Retain, and removes layers whose image has gone meanwhile.
func (s *Store) Release(key string) {
	s.mu.Lock()
	chain := s.retained[key]
	delete(s.retained, key)
	needed := s.neededLocked()
	last := slices.ContainsFunc(chain, func(id string) bool { return !needed[id] })
	s.garbage = s.garbage || last
	s.mu.Unlock()
	if last {
		s.tidy()
	}
}

// tidy collects for somebody who cannot do anything about a failure: the next
// collection tries again.
func (s *Store) tidy() {
	s.mu.Lock()
	remove, err := s.collectLocked()
	s.mu.Unlock()
	if err = errors.Join(err, remove()); err != nil {
		s.log.Warn("cannot remove unused image data", "error", err)
	}
}

// ingest keeps the collector away while an image comes in. The returned
// function ends that, and collects if the image did not come in whole.
func (s *Store) ingest() (done func(*error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ingests++
	return func(err *error) {
		s.mu.Lock()
		s.ingests--
		s.garbage = s.garbage || *err != nil
		s.mu.Unlock()
		s.tidy()
	}
}

// Usage returns what images take on the disk, in bytes and files.
func (s *Store) Usage() (bytes, inodes uint64, dir string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, img := range s.images {
		for _, l := range img.Layers {
			if !seen[l.Digest] {
				bytes += uint64(l.Size)
				inodes++
			}
			if !seen[l.ChainID] || l.Unpacked > 0 {
				bytes += uint64(l.Unpacked)
			}
			seen[l.Digest], seen[l.ChainID] = true, true
		}
		inodes += 3
	}
	return bytes, inodes, filepath.Dir(s.dir), nil
}

// errNoImage says that an archive or manifest has nothing to run.
var errNoImage = fault.New(fault.Invalid, "archive holds no image")
