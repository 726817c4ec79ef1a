package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// Bounds on what a stranger may hold open or send.
const (
	maxConnections = 16384
	maxHeader      = 64 << 10
	maxStreams     = 250 // of one HTTP/2 connection
	headerTime     = 10 * time.Second
	idleTime       = 75 * time.Second
	drainTime      = 10 * time.Second
)

// Server serves Ingress on plain and TLS sockets.
type Server struct {
	handler *Handler
	certs   *Certificates
	logger  *slog.Logger
	// headerTime is how long a client may take to say what it wants.
	headerTime time.Duration
}

// NewServer makes the server and follows the mirror, which must not be fed
// yet: every change of an Ingress or a class makes the table anew. issue asks
// for certificates of hosts that have none; metrics may be nil.
func NewServer(m *mirror.Mirror, issue Issue, metrics *measure.Metrics, logger *slog.Logger) (*Server, error) {
	h := newHandler(newBackends(m), metrics, logger)
	certs, err := newCertificates(m, h.Routes, counted(issue, metrics), logger, time.Now())
	if err != nil {
		return nil, err
	}
	m.OnChange(func(topic mirror.Topic, _ mirror.Key) {
		if topic == mirror.Ingress || topic == mirror.Class {
			h.SetRoutes(Build(m.Ingresses(), m.Classes()))
			certs.issued.retain(h.Routes())
		}
	})
	return &Server{handler: h, certs: certs, logger: logger, headerTime: headerTime}, nil
}

// Moved is to be told when the machine has another address: nothing comes back
// to the former one, from which connections to endpoints that are kept speak.
func (s *Server) Moved() { s.handler.send.closeIdle() }

// Run serves until ctx ends, then lets requests under way finish for a while.
func (s *Server) Run(ctx context.Context, plain, secure []net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
	if len(secure) > 0 {
		if at, ok := secure[0].Addr().(*net.TCPAddr); ok {
			s.handler.securePort.Store(int64(at.Port))
		}
	}
	server := &http.Server{
		Handler: s.handler, Protocols: &protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: s.headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog:  slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certs.Get, NextProtos: []string{"h2", "http/1.1"}},
	}
	failed := make(chan error, len(plain)+len(secure))
	var running sync.WaitGroup
	serve := func(f func() error) {
		running.Go(func() {
			if err := f(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve Ingress: %w", err)
			}
		})
	}
	for _, l := range plain {
		serve(func() error { return server.Serve(netutil.LimitListener(l, maxConnections)) })
	}
	for _, l := range secure {
		serve(func() error { return server.ServeTLS(netutil.LimitListener(l, maxConnections), "", "") })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if server.Shutdown(drain) != nil {
		_ = server.Close() // whoever did not finish in time is cut off
	}
	running.Wait()
	return err
}

func counted(issue Issue, metrics *measure.Metrics) Issue {
	return func(ctx context.Context, host string) (*tls.Certificate, error) {
		cert, err := issue(ctx, host)
		metrics.Certified(err)
		return cert, err
	}
}
