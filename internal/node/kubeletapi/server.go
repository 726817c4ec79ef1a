package kubeletapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/logs"
	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/stats"
	"github.com/knarr-io/knarr/internal/node/worker"
)

// Bounds of what a caller may take of the server's patience.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// Config is what the API serves from.
type Config struct {
	NodeName string
	LogRoot  string
	Pods     *worker.Manager
	Runtime  *cri.Client
	Stats    *stats.Provider
	Metrics  *measure.Metrics
	// Settings are what /configz shows under the name kubeletconfig.
	Settings any
	// SystemLogs is the folder of the machine's logs; empty serves none.
	SystemLogs string
	// EdgeMetrics answers /metrics/edge, Peers the agents of other nodes below
	// /knarr/; nil: nobody does.
	EdgeMetrics, Peers http.Handler
	// Client asks for authorization.
	Client *client.Client
	// Certificate gives the serving certificate, which may change over time.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAs sign the certificates of callers.
	ClientCAs *x509.CertPool
	Logger    *slog.Logger
}

// Server is the node's API.
type Server struct {
	cfg   Config
	authz *authorizer
	// logChanges serves all who follow logs.
	logChanges logs.Changes
}

// New makes a server.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, authz: newAuthorizer(cfg.Client, cfg.NodeName)}
}

// Serve answers on the listener until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: s.cfg.Certificate,
			ClientCAs: s.cfg.ClientCAs, ClientAuth: tls.VerifyClientCertIfGiven,
			// Upgraded connections need HTTP/1.1.
			NextProtos: []string{"http/1.1"},
		},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

// Handler is the whole API behind authentication and authorization.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /healthz/ping", s.ping)
	mux.HandleFunc("GET /healthz/log", s.ping)
	mux.HandleFunc("GET /healthz/syncloop", s.healthz)
	mux.HandleFunc("GET /configz", s.configz)
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /pods/{$}", s.pods)
	mux.HandleFunc("GET /runningpods/{$}", s.runningPods)
	mux.Handle("GET /logs/", s.systemLogs())
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	for _, method := range []string{"GET ", "POST "} {
		mux.HandleFunc(method+"/exec/{namespace}/{pod}/{container}", s.exec)
		mux.HandleFunc(method+"/exec/{namespace}/{pod}/{uid}/{container}", s.exec)
		mux.HandleFunc(method+"/attach/{namespace}/{pod}/{container}", s.attach)
		mux.HandleFunc(method+"/attach/{namespace}/{pod}/{uid}/{container}", s.attach)
		mux.HandleFunc(method+"/portForward/{namespace}/{pod}", s.portForward)
		mux.HandleFunc(method+"/portForward/{namespace}/{pod}/{uid}", s.portForward)
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("POST /run/{namespace}/{pod}/{uid}/{container}", s.run)
	mux.HandleFunc("GET /stats/summary", s.summary)
	mux.HandleFunc("POST /stats/summary", s.summary)
	mux.HandleFunc("GET /metrics/resource", s.resourceMetrics)
	mux.HandleFunc("GET /metrics/cadvisor", s.containerMetrics)
	mux.Handle("GET /metrics/probes", s.cfg.Metrics.Probes())
	mux.Handle("GET /metrics", s.cfg.Metrics.Own())
	if s.cfg.EdgeMetrics != nil {
		mux.Handle("GET /metrics/edge", s.cfg.EdgeMetrics)
	}
	for name, h := range map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace} {
		mux.HandleFunc("GET /debug/pprof/"+name, h)
	}
	all := http.NewServeMux()
	all.Handle("/", s.authz.guard(mux))
	if s.cfg.Peers != nil {
		all.Handle(PeersPath, s.authz.peers(s.cfg.Peers))
	}
	return s.counted(all)
}

// PeersPath begins the paths of what nodes ask each other.
const PeersPath = "/knarr/"
