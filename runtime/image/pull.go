package image

import (
	"context"
	"io"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/name"
	"github.com/knarr-io/knarr/runtime/image/registry"
)

// Pull brings an image from its registry. A digest that is here already is not fetched again.
func (s *Store) Pull(ctx context.Context, ref string, auth registry.Auth) (_ *Image, err error) {
	parsed, err := name.Parse(ref)
	if err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	defer s.ingest()(&err)
	res, err := s.registry.Fetch(ctx, parsed, auth, sink{s.blobs})
	if err != nil {
		return nil, err
	}
	var tags []string
	if parsed.Tag != "" {
		tags = append(tags, parsed.String())
	}
	return s.register(ctx, res.Manifest, tags, []string{parsed.WithDigest(res.Digest).String()})
}

// sink puts what a registry sends into the content store.
type sink struct{ *blobs.Store }

func (s sink) Has(digest string) bool {
	_, ok := s.Size(digest)
	return ok
}

func (s sink) Put(r io.Reader, digest string, size int64) error {
	if size < 0 || size > maxLayerBytes {
		return fault.New(fault.Invalid, "blob %s of %d bytes: too large", digest, size)
	}
	_, _, err := s.Store.Put(r, digest, size)
	return err
}
