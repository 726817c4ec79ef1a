package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/knarr-io/knarr/internal/edge/measure"
)

// errNoEndpoint: nobody is ready to take the request.
var errNoEndpoint = errors.New("no endpoint is ready")

// targetKey carries the request's Target in its context.
type targetKey struct{}

// balancer sends a request to an endpoint of its target, and to another one
// where no connection could be made: nothing was sent then, so that this is
// safe for every request.
type balancer struct {
	backends *Backends
	metrics  *measure.Metrics // may be nil
	// http1 speaks HTTP/1.1, http2 HTTP/2 without TLS, as gRPC needs it.
	http1  *direct
	http2  *http.Transport
	secure *secureTransports
}

func newBalancer(b *Backends, metrics *measure.Metrics) *balancer {
	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	return &balancer{backends: b, metrics: metrics, http1: newDirect(newTransport(&one)), http2: newTransport(&two), secure: newSecureTransports(b.mirror)}
}

// Bounds of connections to endpoints.
const (
	headTime     = 5 * time.Minute // for the head of an answer
	lineTime     = 60 * time.Second
	maxIdle      = 1024
	maxIdleOfOne = 64 // of one endpoint
)

func newTransport(protocols *http.Protocols) *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Protocols:             protocols,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConnsPerHost:   maxIdleOfOne,
		MaxIdleConns:          maxIdle,
		IdleConnTimeout:       lineTime,
		ResponseHeaderTimeout: headTime,
		DisableCompression:    true, // the client's own wishes are passed on
	}
}

// RoundTrip implements http.RoundTripper, but for the request's body: it stays
// open, since a stream goes on after the answer's head came, and whoever asks
// closes it (httputil.ReverseProxy does).
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	target, _ := req.Context().Value(targetKey{}).(Target)
	candidates, speaks := b.backends.Candidates(target, time.Now())
	next, scheme, err := b.by(target, speaks, req.Header.Get("Upgrade") != "")
	if err != nil {
		return nil, err
	}
	body := req.Body
	for _, address := range candidates {
		attempt, to := req.WithContext(req.Context()), *req.URL // the headers are only read
		to.Scheme, to.Host, attempt.URL = scheme, address, &to
		if body != nil && body != http.NoBody {
			attempt.Body = io.NopCloser(body) // a failed dial must not close it
		}
		res, err := next.RoundTrip(attempt)
		if err == nil || !connectFailed(err) {
			return res, err
		}
		b.backends.Failed(address, time.Now())
		b.metrics.Unreached()
		if req.Context().Err() != nil { // its time is over, which says nothing of the others
			return nil, err
		}
	}
	return nil, errNoEndpoint
}

// closeIdle closes the connections that wait for their next request.
func (b *balancer) closeIdle() {
	b.http1.closeIdle()
	b.http2.CloseIdleConnections()
	b.secure.closeIdle()
}

// by is who carries a request to endpoints that speak so. HTTP/2 has no
// upgrades as WebSocket needs them.
func (b *balancer) by(t Target, speaks protocol, upgrade bool) (next http.RoundTripper, scheme string, err error) {
	switch {
	case speaks == overTLS:
		next, err = b.secure.of(t, upgrade)
		return next, "https", err
	case speaks == h2c && !upgrade:
		return b.http2, "http", nil
	}
	return b.http1, "http", nil
}

// connectFailed tells that no byte of the request left.
func connectFailed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, context.Canceled)
}
