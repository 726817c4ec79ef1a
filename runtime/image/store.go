package image

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/name"
	"github.com/knarr-io/knarr/runtime/image/registry"
	"github.com/knarr-io/knarr/runtime/image/snapshots"
)

// maxLayerBytes bounds one layer, packed or not: no image of ours may fill a disk by itself.
const maxLayerBytes = 64 << 30

// Store is the images of a node. It is safe for concurrent use.
type Store struct {
	log      *slog.Logger
	dir      string
	blobs    *blobs.Store
	layers   *snapshots.Store
	registry *registry.Client

	mu     sync.Mutex
	images map[string]*Image // by ID
	names  map[string]string // reference to ID
	// retained is what containers need, by container ID.
	retained map[string][]string
	// ingests counts what is coming in; garbage waits until there is none.
	ingests int
	garbage bool
}

// Open opens the store in dir. Records that do not read are dropped with a
// warning, and what they named is collected.
func Open(dir string, cfg registry.Config, log *slog.Logger) (*Store, error) {
	s := &Store{log: log, dir: filepath.Join(dir, "images"), registry: registry.New(cfg),
		images: map[string]*Image{}, names: map[string]string{}, retained: map[string][]string{}}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.blobs, err = blobs.Open(filepath.Join(dir, "blobs")); err != nil {
		return nil, err
	}
	if s.layers, err = snapshots.Open(filepath.Join(dir, "layers"), maxLayerBytes); err != nil {
		return nil, err
	}
	return s, s.load()
}

func (s *Store) load() error {
	if err := atomicfile.Sweep(s.dir); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		return err
	}
	var all []*Image
	for _, f := range files {
		img := &Image{}
		if err := atomicfile.ReadJSON(f, img); err != nil {
			s.log.Warn("dropping an image record", "error", err)
			os.Remove(f)
			continue
		}
		all = append(all, img)
	}
	// A name belongs to the image that got it last.
	sort.Slice(all, func(i, j int) bool { return all[i].Tagged.Before(all[j].Tagged) })
	for _, img := range all {
		s.images[img.ID] = img
		for _, n := range img.names() {
			s.names[n] = img.ID
		}
	}
	s.settleNames()
	return nil
}

// settleNames takes names from images that others got after them, where a kill came before that.
func (s *Store) settleNames() {
	for _, img := range s.images {
		for _, n := range img.names() {
			owner := s.names[n]
			if owner == img.ID {
				continue
			}
			if err := s.untagLocked(s.images[img.ID], n); err != nil {
				s.log.Warn("an image keeps a name that is another's", "image", img.ID, "name", n, "error", err)
			}
			s.names[n] = owner
		}
	}
}

// Get returns the image of a name or of an ID, in full or shortened.
func (s *Store) Get(ref string) (*Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.getLocked(ref)
}

func (s *Store) getLocked(ref string) (*Image, error) {
	if img := s.images[ref]; img != nil {
		return img, nil
	}
	parsed, err := name.Parse(ref)
	if err == nil {
		if id, ok := s.names[parsed.String()]; ok {
			return s.images[id], nil
		}
	}
	if img := s.byPrefixLocked(ref); img != nil {
		return img, nil
	}
	if err != nil && !name.IsID(ref) {
		return nil, fault.As(fault.Invalid, err)
	}
	return nil, fault.New(fault.NotFound, "image %q: not found", ref)
}

func (s *Store) byPrefixLocked(ref string) *Image {
	if !name.IsID(ref) {
		return nil
	}
	var found *Image
	for id, img := range s.images {
		if strings.HasPrefix(name.TrimID(id), name.TrimID(ref)) {
			if found != nil {
				return nil
			}
			found = img
		}
	}
	return found
}

// List returns the images in the order of their IDs.
func (s *Store) List() []*Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Image, 0, len(s.images))
	for _, img := range s.images {
		out = append(out, img)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// Lower returns the unpacked layers of a stack, topmost first.
func (s *Store) Lower(chainIDs []string) ([]string, error) { return s.layers.Lower(chainIDs) }

// unpack unpacks the layers of an image, each when its blob is here: wait returns then.
func (s *Store) unpack(ctx context.Context, img *Image, wait func(digest string) error) error {
	chain := img.ChainIDs()
	for n := range img.Layers {
		l := &img.Layers[n]
		if err := wait(l.Digest); err != nil {
			return err
		}
		size, err := s.layers.Unpack(ctx, snapshots.Layer{ChainID: l.ChainID, DiffID: l.DiffID,
			Open: func() (io.ReadCloser, error) { return s.blobs.Open(l.Digest) }}, chain[:n])
		if err != nil {
			return err
		}
		l.Unpacked = size
	}
	// The record must not be older than what it names.
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// commit records img, with the names that an equal image had, and takes its names from others.
func (s *Store) commit(img *Image) (*Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.images[img.ID]; old != nil {
		img.Tags = union(old.Tags, img.Tags)
		img.Digests = union(old.Digests, img.Digests)
		for n := range img.Layers {
			if n < len(old.Layers) {
				img.Layers[n].Unpacked = max(img.Layers[n].Unpacked, old.Layers[n].Unpacked)
			}
		}
	}
	if err := s.saveLocked(img); err != nil {
		return nil, err
	}
	for _, n := range img.names() {
		if id, ok := s.names[n]; ok && id != img.ID {
			if err := s.untagLocked(s.images[id], n); err != nil {
				return nil, err
			}
		}
		s.names[n] = img.ID
	}
	return img, nil
}

func (s *Store) saveLocked(img *Image) error {
	h, err := blobs.Hex(img.ID)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteJSON(filepath.Join(s.dir, h+".json"), img, true); err != nil {
		return fmt.Errorf("record image: %w", err)
	}
	s.images[img.ID] = img
	return nil
}

// untagLocked takes a name from an image. The image stays, by its ID.
func (s *Store) untagLocked(img *Image, ref string) error {
	next := img.clone()
	isRef := func(n string) bool { return n == ref }
	next.Tags = slices.DeleteFunc(next.Tags, isRef)
	next.Digests = slices.DeleteFunc(next.Digests, isRef)
	delete(s.names, ref)
	return s.saveLocked(next)
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
