package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	dialTimeout      = 10 * time.Second
	keepAlive        = 30 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
	idleConnections  = 32
	maxHeaderBytes   = 64 << 10
)

// Dial opens a connection to host:port.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Config is what a Client works with.
type Config struct {
	Kinds   *catalog.Catalog
	Objects *cache.Cache
	// Dial reaches addresses of pods and of servers outside; nil: by this
	// machine's routes.
	Dial Dial
}

// Client makes endpoints.
type Client struct {
	services, slices *cache.Resource
	dial             Dial
}

// New makes a client.
func New(c Config) (*Client, error) {
	out := &Client{dial: c.Dial}
	if k := c.Kinds.Resource(corev1.SchemeGroupVersion.WithResource("services")); k != nil {
		out.services = c.Objects.Of(k)
	}
	if k := c.Kinds.Resource(discoveryv1.SchemeGroupVersion.WithResource("endpointslices")); k != nil {
		out.slices = c.Objects.Of(k)
	}
	if out.services == nil || out.slices == nil {
		return nil, errors.New("the catalogue of kinds does not hold services and endpoint slices")
	}
	if out.dial == nil {
		out.dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	return out, nil
}

// Endpoint prepares calls to a target. It opens no connection; it fails where
// the target is nonsense.
func (c *Client) Endpoint(t Target) (*Endpoint, error) {
	location, err := t.location()
	if err != nil {
		return nil, err
	}
	config, err := t.tls()
	if err != nil {
		return nil, err
	}
	wrap, err := t.identify(location, config)
	if err != nil {
		return nil, err
	}
	dial := c.dial
	if t.Service != nil {
		service := *t.Service
		dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			address, err := c.Resolve(service)
			if err != nil {
				return nil, err
			}
			return c.dial(ctx, network, address)
		}
	}
	transport := &http.Transport{
		// HTTP/1.1 only: each request may go to another pod, and none waits on
		// a connection to one that is gone.
		TLSClientConfig: config, DialContext: dial, TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression: true,
	}
	calls, err := wrap(transport)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", location.Host, err)
	}
	return &Endpoint{Target: t, location: location, transport: transport, calls: calls}, nil
}
