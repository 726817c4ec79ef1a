package image

import (
	"context"
	"io"
	"time"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/archives"
	"github.com/knarr-io/knarr/runtime/image/name"
)

// Import reads every image of an archive. With override, the archive must
// hold one image, which gets that name only. All images come in, or none.
func (s *Store) Import(ctx context.Context, r io.Reader, override string) (_ []*Image, err error) {
	defer s.ingest()(&err)
	found, err := archives.Read(r, s.blobs)
	if err != nil {
		return nil, err
	}
	switch {
	case len(found) == 0:
		return nil, errNoImage
	case override != "" && len(found) > 1:
		return nil, fault.New(fault.Invalid, "archive holds %d images, which cannot all be named %s", len(found), override)
	case override != "":
		found[0].Names = []string{override}
	}
	tags := make([][]string, len(found))
	for i, f := range found {
		if tags[i], err = normalise(f.Names); err != nil {
			return nil, err
		}
	}
	return s.registerAll(ctx, found, tags)
}

// registerAll undoes what it did for earlier images if a later one fails.
func (s *Store) registerAll(ctx context.Context, found []archives.Image, tags [][]string) ([]*Image, error) {
	var out []*Image
	for i, f := range found {
		img, err := describe(s.blobs, f.Manifest)
		if err == nil {
			err = s.unpack(ctx, img, func(string) error { return nil })
		}
		if err != nil {
			return nil, archives.Corrupt(err)
		}
		img.Tags = tags[i]
		out = append(out, img)
	}
	for i, img := range out {
		img.Tagged = time.Now()
		done, err := s.commit(img)
		if err != nil {
			return nil, err
		}
		out[i] = done
	}
	return out, nil
}

func normalise(names []string) ([]string, error) {
	var tags []string
	for _, n := range names {
		ref, err := name.Parse(n)
		if err != nil {
			return nil, fault.As(fault.Invalid, err)
		}
		if ref.Tag != "" {
			tags = append(tags, ref.String())
		}
	}
	return tags, nil
}

// Export writes the images of refs as an archive.
func (s *Store) Export(w io.Writer, refs []string) error {
	var list []archives.Image
	for _, ref := range refs {
		img, err := s.Get(ref)
		if err != nil {
			return err
		}
		list = append(list, archives.Image{Manifest: img.Manifest, Names: img.Tags})
	}
	return archives.Write(w, s.blobs, list)
}
