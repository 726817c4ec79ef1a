package nodehost

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// What is taken of the edge, which is less trusted than this process.
const (
	edgeTime   = 10 * time.Second
	maxMetrics = 16 << 20
)

// edgeClient asks the edge beside the agent.
type edgeClient struct{ http *http.Client }

func newEdgeClient(socket string) *edgeClient {
	return &edgeClient{http: &http.Client{Transport: &http.Transport{IdleConnTimeout: edgeTime, MaxIdleConns: 4,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}}}
}

func (e *edgeClient) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	at := url.URL{Scheme: "http", Host: "edge", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	return e.http.Do(req)
}

// left returns when the edge gives no new requests to a pod's address, or ctx
// ends. An edge that does not answer gives none either.
func (e *edgeClient) left(ctx context.Context, addr netip.Addr) error {
	res, err := e.get(ctx, "/left", url.Values{"address": {addr.String()}})
	if err != nil {
		return ctx.Err()
	}
	return res.Body.Close()
}

// metrics shows those of the edge.
func (e *edgeClient) metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), edgeTime)
		defer cancel()
		res, err := e.get(ctx, "/metrics", nil)
		if err != nil {
			http.Error(w, "the edge does not answer: "+err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, io.LimitReader(res.Body, maxMetrics)) // who asked is gone, or the edge
	})
}
