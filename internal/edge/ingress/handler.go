package ingress

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync/atomic"
	"time"

	"github.com/knarr-io/knarr/internal/edge/measure"
)

// Handler routes requests. It is safe for concurrent use.
type Handler struct {
	routes atomic.Pointer[Routes]
	proxy  *httputil.ReverseProxy
	send   *balancer
	logger *slog.Logger
	// metrics may be nil.
	metrics *measure.Metrics
	// id tells requests that were here already.
	id string
	// securePort is where TLS is served, for redirects; zero: at the usual one.
	securePort atomic.Int64
}

// gatherTime is how long parts of an answer of known length are gathered, so
// that a small one leaves with its head at once. What has no known length, as
// streams, flows as it comes.
const gatherTime = 10 * time.Millisecond

// newHandler makes a handler without routes; metrics may be nil.
func newHandler(b *Backends, metrics *measure.Metrics, logger *slog.Logger) *Handler {
	h := &Handler{logger: logger, metrics: metrics, id: rand.Text(), send: newBalancer(b, metrics)}
	h.routes.Store(Build(nil, nil))
	h.proxy = &httputil.ReverseProxy{
		Transport:     h.send,
		BufferPool:    &buffers{},
		FlushInterval: gatherTime,
		Rewrite:       h.rewrite,
		ErrorHandler:  h.failed,
		ErrorLog:      slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	return h
}

// SetRoutes replaces the table; requests under way are not touched. One
// goroutine calls it.
func (h *Handler) SetRoutes(r *Routes) {
	old := h.routes.Swap(r)
	for host := range old.names {
		if _, still := r.names[host]; !still && host != "" {
			h.metrics.Forget(host)
		}
	}
	h.send.secure.retain(r)
}

// Routes is the table in force.
func (h *Handler) Routes() *Routes { return h.routes.Load() }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun, end := time.Now(), h.metrics.Begin()
	target, ok := h.routes.Load().Find(hostOnly(r.Host), r.URL.Path)
	answer := &logged{ResponseWriter: w}
	defer func() { // also where the proxy gives the connection up by a panic
		end()
		took := time.Since(begun)
		h.metrics.Answered(target.Host, target.Class, answer.status, took)
		if level := target.logLevel(); h.logger.Enabled(r.Context(), level) {
			answer.log(h.logger, level, r, target, took)
		}
	}()
	if !ok {
		http.Error(answer, "404: no Ingress rule matches this host and path", http.StatusNotFound)
		return
	}
	h.forward(answer, r, target)
}

// forward holds a request to its Ingress's rules and hands it to the Service.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, target Target) {
	if slices.Contains(r.Header.Values(passedHeader), h.id) {
		http.Error(w, "508: the Service leads back to this Ingress", http.StatusLoopDetected)
		return
	}
	r, cancel, done := target.apply(w, r, int(h.securePort.Load()))
	defer cancel()
	if done {
		return
	}
	h.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), targetKey{}, target)))
}

// passedHeader names the edges that a request came through: an ExternalName may
// lead back here. It is not Via, by which some backends compress no longer.
const passedHeader = "X-Knarr-Edge"

// rewrite tells the backend who asked, and for what. What a client claims of
// itself in these headers is not passed on.
func (h *Handler) rewrite(p *httputil.ProxyRequest) {
	p.Out.Header.Add(passedHeader, h.id)
	p.SetXForwarded()
	p.Out.Host = p.In.Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery // also what the proxy cannot read of it: the backend may
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = p.In.Host // the balancer puts the endpoint there
	if ip, _, err := net.SplitHostPort(p.In.RemoteAddr); err == nil {
		p.Out.Header.Set("X-Real-Ip", ip)
	}
}

func (h *Handler) failed(w http.ResponseWriter, _ *http.Request, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		tooLarge(w)
	case errors.Is(err, errNoEndpoint):
		http.Error(w, "503: the Service has no endpoint that is ready", http.StatusServiceUnavailable)
	case errors.Is(err, context.Canceled):
		w.WriteHeader(499) // the client is gone; nobody reads this
	case isTimeout(err):
		http.Error(w, "504: the backend did not answer in time", http.StatusGatewayTimeout)
	default:
		http.Error(w, "502: the backend broke the connection", http.StatusBadGateway)
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
