package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
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
	// http1 speaks HTTP/1.1, http2 HTTP/2 without TLS, which a Service port
	// asks for by its appProtocol, as gRPC needs it.
	http1, http2 http.RoundTripper
}

func newBalancer(b *Backends) *balancer {
	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	return &balancer{backends: b, http1: newTransport(&one), http2: newTransport(&two)}
}

func newTransport(protocols *http.Protocols) *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Protocols:             protocols,
		DialContext:           dialer.DialContext,
		MaxIdleConnsPerHost:   64,
		MaxIdleConns:          1024,
		IdleConnTimeout:       60 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute,
		DisableCompression:    true, // the client's own wishes are passed on
	}
}

// RoundTrip implements http.RoundTripper, but for the request's body: it stays
// open, since a stream goes on after the answer's head came, and whoever asks
// closes it (httputil.ReverseProxy does).
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	target, _ := req.Context().Value(targetKey{}).(Target)
	candidates, h2c := b.backends.Candidates(target, time.Now())
	next := b.http1
	if h2c && req.Header.Get("Upgrade") == "" { // HTTP/2 has no upgrades
		next = b.http2
	}
	body := req.Body
	for _, address := range candidates {
		attempt := req.Clone(req.Context())
		attempt.URL.Host = address
		if body != nil && body != http.NoBody {
			attempt.Body = io.NopCloser(body) // a failed dial must not close it
		}
		res, err := next.RoundTrip(attempt)
		if err == nil || !connectFailed(err) {
			return res, err
		}
		b.backends.Failed(address, time.Now())
	}
	return nil, errNoEndpoint
}

// connectFailed tells that no byte of the request left.
func connectFailed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, context.Canceled)
}
