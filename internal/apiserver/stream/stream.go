// Package stream answers the requests that are conversations: logs, exec,
// attach and port forwarding of pods, and the proxies of pods, services and
// nodes.
//
// Container traffic goes to the kubelet API of the pod's node, over TLS with
// the API server's own client certificate; the node's certificate is checked
// against the cluster's authority. Node agents speak SPDY/3.1 and the older
// WebSocket channels: those are passed on byte by byte, while the newer
// WebSocket forms (v5.channel.k8s.io, SPDY tunnelled for port forwarding) are
// translated to SPDY here, as upstream does (KEP-4006).
//
// The package owns its connections to nodes and nothing else. Everything that
// it starts for a request ends with that request's context.
package stream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleConnections  = 2 // to one node
	idleTimeout      = 90 * time.Second
)

// Config is what the handlers need.
type Config struct {
	Kinds   *catalog.Catalog
	Objects *cache.Cache
	// ClientCertificate identifies the API server to node agents.
	ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// NodeCAs sign the certificates of node agents.
	NodeCAs *x509.CertPool
}

// Streams holds the handlers. Safe for concurrent use.
type Streams struct {
	pods, nodes, services, slices *cache.Resource
	// verified checks the node's certificate; trusting does not, and is only
	// used where a request asks for it.
	verified, trusting *http.Transport
	// plain dials pods and services.
	plain *http.Transport
}

// New prepares the handlers.
func New(c Config) (*Streams, error) {
	resource := func(gvr schema.GroupVersionResource) *cache.Resource {
		if k := c.Kinds.Resource(gvr); k != nil {
			return c.Objects.Of(k)
		}
		return nil
	}
	s := &Streams{
		pods:     resource(corev1.SchemeGroupVersion.WithResource("pods")),
		nodes:    resource(corev1.SchemeGroupVersion.WithResource("nodes")),
		services: resource(corev1.SchemeGroupVersion.WithResource("services")),
		slices:   resource(discoveryv1.SchemeGroupVersion.WithResource("endpointslices")),
		verified: transport(&tls.Config{RootCAs: c.NodeCAs, GetClientCertificate: c.ClientCertificate, MinVersion: tls.VersionTLS12}),
		trusting: transport(&tls.Config{GetClientCertificate: c.ClientCertificate, InsecureSkipVerify: true}), //nolint:gosec // asked for by the request
		plain:    transport(&tls.Config{InsecureSkipVerify: true}),                                            //nolint:gosec // pods have certificates of their own, or none
	}
	if s.pods == nil || s.nodes == nil || s.services == nil || s.slices == nil {
		return nil, errors.New("the catalogue of kinds does not hold pods, nodes, services and endpoint slices")
	}
	return s, nil
}

// transport speaks HTTP/1.1 only, since upgrades need it.
func transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:     config,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true,
	}
}

// Register puts every handler into the registry.
func (s *Streams) Register(r *endpoint.Registry) {
	pods, services, nodes := corev1.Resource("pods"), corev1.Resource("services"), corev1.Resource("nodes")
	r.Connect(pods, "log", s.log)
	r.Connect(pods, "exec", s.exec)
	r.Connect(pods, "attach", s.attach)
	r.Connect(pods, "portforward", s.portForward)
	r.Connect(pods, "proxy", s.proxyPod)
	r.Connect(services, "proxy", s.proxyService)
	r.Connect(nodes, "proxy", s.proxyNode)
}

// Close drops idle connections. Requests under way are not touched.
func (s *Streams) Close() {
	for _, t := range []*http.Transport{s.verified, s.trusting, s.plain} {
		t.CloseIdleConnections()
	}
}
