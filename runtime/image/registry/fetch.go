package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/name"
	"github.com/knarr-io/knarr/runtime/image/platform"
)

const (
	// parallelLayers is how many layers of one image travel at a time.
	parallelLayers = 3
	maxLayers      = 512
	maxConfig      = 8 << 20
	maxManifest    = 8 << 20
	// dialTime bounds the look-up of a name and the connection. The resolver
	// gives a name server five seconds: a second one gets its chance.
	dialTime = 10 * time.Second
)

// Auth is what a registry may ask for. The zero value is anonymous.
type Auth struct {
	Username, Password, Auth, IdentityToken, RegistryToken string
}

// Sink takes what is fetched, and checks its digests. It must be safe for
// concurrent use.
type Sink interface {
	// Has says that a blob need not be fetched.
	Has(digest string) bool
	// Put takes a small blob; it must read at most size bytes.
	Put(r io.Reader, digest string, size int64) error
	// Resume takes a layer from where an earlier attempt broke off. open gives
	// it from an offset on, or from zero, and says which.
	Resume(digest string, size int64, open func(from int64) (io.ReadCloser, int64, error)) error
	// Begin tells that the manifest and configuration of an image have come in:
	// its layers follow, each with Arrived, in any order.
	Begin(manifest string)
	Arrived(digest string)
}

// Result is what a reference stands for.
type Result struct {
	// Manifest is the digest of the image manifest for this platform.
	Manifest string
	// Digest is what the reference resolves to: the manifest, or an index of manifests.
	Digest string
}

// Client fetches images. It is safe for concurrent use.
type Client struct {
	config   Config
	plain    http.RoundTripper
	insecure http.RoundTripper
}

// New returns a client.
func New(c Config) *Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	base.ResponseHeaderTimeout = min(30*time.Second, c.stall())
	base.MaxIdleConnsPerHost = parallelLayers + 1
	base.IdleConnTimeout = 10 * time.Second
	skip := base.Clone()
	skip.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for by the configuration
	return &Client{config: c, plain: patient{base, c.stall()}, insecure: patient{skip, c.stall()}}
}

// Fetch brings the manifest, configuration and layers of ref into sink. Errors
// are classed: NotFound, Unauthenticated, Unavailable or Invalid.
func (c *Client) Fetch(ctx context.Context, ref name.Ref, auth Auth, sink Sink) (Result, error) {
	var failures []error
	for _, ep := range c.config.endpoints(ref.Host) {
		res, err := c.fetchFrom(ctx, ep, ref, auth, sink)
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		failures = append(failures, classify(ep, err))
	}
	// The registry's own answer counts; what mirrors said comes with it.
	last := failures[len(failures)-1]
	return Result{}, fault.As(fault.Of(last), fmt.Errorf("failed to pull %s: %w", ref, errors.Join(failures...)))
}

func (c *Client) fetchFrom(ctx context.Context, ep endpoint, ref name.Ref, auth Auth, sink Sink) (Result, error) {
	target, err := ep.reference(ref)
	if err != nil {
		return Result{}, fault.As(fault.Invalid, err)
	}
	rt := c.plain
	if ep.insecure {
		rt = c.insecure
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithTransport(rt), remote.WithUserAgent("knarr"),
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 3}), remote.WithRetryPredicate(again),
		remote.WithPlatform(platform.Host()), remote.WithAuth(auth.authenticator(ep))}
	desc, err := remote.Get(target, opts...)
	if err != nil {
		return Result{}, err
	}
	if len(desc.Manifest) > maxManifest {
		return Result{}, fault.New(fault.Invalid, "manifest has %d bytes", len(desc.Manifest))
	}
	if err := offers(desc, ref); err != nil {
		return Result{}, err
	}
	img, err := desc.Image()
	if err != nil {
		return Result{}, err
	}
	rest := sync.OnceValues(func() (*ranges, error) { return newRanges(ctx, target.Context(), auth.authenticator(ep), rt) })
	manifest, err := c.store(ctx, img, rest, sink)
	return Result{Manifest: manifest, Digest: desc.Digest.String()}, err
}

// offers refuses an index of images for other platforms only.
func offers(desc *remote.Descriptor, ref name.Ref) error {
	if !desc.MediaType.IsIndex() {
		return nil
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return fault.New(fault.Invalid, "index of images: %w", err)
	}
	var others []v1.Platform
	for _, d := range index.Manifests {
		if d.Platform == nil || platform.Suits(*d.Platform) {
			return nil
		}
		others = append(others, *d.Platform)
	}
	return platform.Other(ref.String(), others...)
}

// again tells failures that a second try may get over: a connection that broke.
// Where none came about, the caller backs off, or makes do with what it has;
// on a machine without a network each try would cost all of dialTime.
func again(err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return false
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

// store brings every part of img into sink: what describes it first, so that
// layers can be unpacked while others are on their way.
func (c *Client) store(ctx context.Context, img v1.Image, rest func() (*ranges, error), sink Sink) (string, error) {
	m, err := img.Manifest()
	if err != nil {
		return "", err
	}
	if len(m.Layers) > maxLayers || m.Config.Size > maxConfig {
		return "", fault.New(fault.Invalid, "image has %d layers and a configuration of %d bytes", len(m.Layers), m.Config.Size)
	}
	layers, err := img.Layers()
	if err != nil {
		return "", err
	}
	digest, err := describe(img, m, sink)
	if err != nil {
		return "", err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for i := range layers {
		group.Go(func() error { return fetchLayer(ctx, layers[i], m.Layers[i], rest, sink) })
	}
	return digest, group.Wait()
}

// describe brings the manifest and the configuration.
func describe(img v1.Image, m *v1.Manifest, sink Sink) (string, error) {
	config, err := img.RawConfigFile()
	if err != nil {
		return "", err
	}
	if p := platform.Of(config); !platform.Suits(p) {
		return "", platform.Other("the image", p)
	}
	if err := put(sink, config, m.Config.Digest); err != nil {
		return "", err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	if err := put(sink, raw, digest); err != nil {
		return "", err
	}
	sink.Begin(digest.String())
	return digest.String(), nil
}

// fetchLayer brings a layer, and asks for the rest of it when a connection breaks.
func fetchLayer(ctx context.Context, l v1.Layer, desc v1.Descriptor, rest func() (*ranges, error), sink Sink) error {
	digest := desc.Digest.String()
	for try := 1; !sink.Has(digest); try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := fetchOnce(ctx, l, desc, rest, sink)
		if err != nil && (try == tries || !again(err)) {
			return err
		}
	}
	sink.Arrived(digest)
	return nil
}

func fetchOnce(ctx context.Context, l v1.Layer, desc v1.Descriptor, rest func() (*ranges, error), sink Sink) error {
	stop := func() bool { return true }
	defer func() { stop() }()
	open := func(from int64) (io.ReadCloser, int64, error) {
		r, at, err := openLayer(ctx, l, desc, from, rest)
		if err != nil {
			return nil, 0, err
		}
		stop = context.AfterFunc(ctx, func() { r.Close() })
		return r, at, nil
	}
	return sink.Resume(desc.Digest.String(), desc.Size, open)
}

// openLayer opens a layer, which ends with ctx.
func openLayer(ctx context.Context, l v1.Layer, desc v1.Descriptor, from int64, rest func() (*ranges, error)) (io.ReadCloser, int64, error) {
	if from == 0 {
		r, err := l.Compressed()
		return r, 0, err
	}
	ranges, err := rest()
	if err != nil {
		return nil, 0, err
	}
	return ranges.open(ctx, desc.Digest.String(), from, desc.Size)
}

func put(sink Sink, data []byte, digest v1.Hash) error {
	return sink.Put(bytes.NewReader(data), digest.String(), int64(len(data)))
}

func (ep endpoint) reference(ref name.Ref) (ggcr.Reference, error) {
	var opts []ggcr.Option
	if ep.plainHTTP {
		opts = append(opts, ggcr.Insecure)
	}
	host := ep.host
	if host == "docker.io" {
		host = "index.docker.io"
	}
	repo := host + "/" + ref.Path
	if ref.Digest != "" {
		return ggcr.NewDigest(repo+"@"+ref.Digest, opts...)
	}
	return ggcr.NewTag(repo+":"+ref.Tag, opts...)
}

// authenticator gives a mirror no credentials that were meant for the registry.
func (a Auth) authenticator(ep endpoint) authn.Authenticator {
	if a == (Auth{}) || ep.mirror {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{Username: a.Username, Password: a.Password, Auth: a.Auth,
		IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken})
}

// classify says why an endpoint did not give the image.
func classify(ep endpoint, err error) error {
	if k := fault.Of(err); k != fault.Internal {
		return fault.As(k, fmt.Errorf("%s: %w", ep.host, err))
	}
	kind := fault.Unavailable
	var te *transport.Error
	if errors.As(err, &te) {
		kind = classifyStatus(te)
	}
	err = fmt.Errorf("%s: %w", ep.host, err)
	if do := advice(kind, err); do != "" {
		err = fmt.Errorf("%w (what to do: %s)", err, do)
	}
	return fault.As(kind, err)
}

func classifyStatus(te *transport.Error) fault.Kind {
	for _, d := range te.Errors {
		switch d.Code {
		case transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode, transport.BlobUnknownErrorCode:
			return fault.NotFound
		case transport.UnauthorizedErrorCode, transport.DeniedErrorCode:
			return fault.Unauthenticated
		}
	}
	switch te.StatusCode {
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Unauthenticated
	}
	return fault.Unavailable
}
