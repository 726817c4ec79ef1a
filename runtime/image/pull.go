package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/name"
	"github.com/knarr-io/knarr/runtime/image/registry"
)

// Pull brings an image from its registry. A digest that is here already is not
// fetched again, and a layer is unpacked while those above it are on their way.
func (s *Store) Pull(ctx context.Context, ref string, auth registry.Auth) (_ *Image, err error) {
	parsed, err := name.Parse(ref)
	if err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	defer s.ingest()(&err)
	p := &pull{Store: s.blobs, images: s, ctx: ctx}
	defer p.end()
	res, err := s.registry.Fetch(ctx, parsed, auth, p)
	if err != nil {
		return nil, errors.Join(p.unpackError(), err)
	}
	img, err := p.wait()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", res.Manifest, err)
	}
	if parsed.Tag != "" {
		img.Tags = []string{parsed.String()}
	}
	img.Digests, img.Tagged = []string{parsed.WithDigest(res.Digest).String()}, time.Now()
	return s.commit(img)
}

// pull is one image on its way: a sink of the registry, and the unpacking that
// follows what arrives.
type pull struct {
	*blobs.Store
	images *Store
	ctx    context.Context

	mu      sync.Mutex
	current *unpacking
}

// unpacking unpacks the image of one manifest. Another endpoint may have another.
type unpacking struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	img    *Image // both after done
	err    error

	mu      sync.Mutex
	arrived map[string]chan struct{}
}

// layer is closed when the blob is here.
func (u *unpacking) layer(digest string) chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.arrived[digest] == nil {
		u.arrived[digest] = make(chan struct{})
	}
	return u.arrived[digest]
}

// Has says that a blob need not be fetched.
func (p *pull) Has(digest string) bool {
	_, ok := p.Size(digest)
	return ok
}

// Put takes the manifest and the configuration.
func (p *pull) Put(r io.Reader, digest string, size int64) error {
	if size < 0 || size > maxManifest {
		return fault.New(fault.Invalid, "blob %s of %d bytes: too large", digest, size)
	}
	_, _, err := p.Store.Put(r, digest, size)
	return err
}

// Resume takes a layer.
func (p *pull) Resume(digest string, size int64, open func(int64) (io.ReadCloser, int64, error)) error {
	if size < 0 || size > maxLayerBytes {
		return fault.New(fault.Invalid, "blob %s of %d bytes: too large", digest, size)
	}
	err := p.Store.Resume(digest, size, open)
	if errors.Is(err, blobs.ErrDigest) || errors.Is(err, blobs.ErrTooLarge) {
		return fault.As(fault.Invalid, fmt.Errorf("the registry sent something else: %w", err))
	}
	return err
}

// Begin starts to unpack the image of a manifest.
func (p *pull) Begin(manifest string) {
	p.end()
	ctx, cancel := context.WithCancelCause(p.ctx)
	u := &unpacking{cancel: cancel, done: make(chan struct{}), arrived: map[string]chan struct{}{}}
	p.mu.Lock()
	p.current = u
	p.mu.Unlock()
	go func() {
		defer close(u.done)
		u.img, u.err = describe(p.images.blobs, manifest)
		if u.err == nil {
			u.err = p.images.unpack(ctx, u.img, func(digest string) error { return u.await(ctx, digest) })
		}
	}()
}

func (u *unpacking) await(ctx context.Context, digest string) error {
	select {
	case <-u.layer(digest):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Arrived lets a layer be unpacked. It may stand twice in an image.
func (p *pull) Arrived(digest string) {
	p.mu.Lock()
	u := p.current
	p.mu.Unlock()
	if u == nil {
		return
	}
	layer := u.layer(digest)
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-layer:
	default:
		close(layer)
	}
}

// errEnded ends an unpacking whose layers do not come.
var errEnded = errors.New("the image does not come in")

// end ends what is being unpacked, and waits for that.
func (p *pull) end() {
	p.mu.Lock()
	u := p.current
	p.mu.Unlock()
	if u != nil {
		u.cancel(errEnded)
		<-u.done
	}
}

// wait returns the image when it is unpacked.
func (p *pull) wait() (*Image, error) {
	<-p.current.done
	return p.current.img, p.current.err
}

// unpackError is why an image that does not come in could not be unpacked, if that came first.
func (p *pull) unpackError() error {
	p.end()
	if p.current == nil || errors.Is(p.current.err, errEnded) || errors.Is(p.current.err, context.Canceled) {
		return nil
	}
	return p.current.err
}
