package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/action"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/flow"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/managed"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// Server serves the Kubernetes API. Make one with New.
type Server struct {
	Config

	codec   *codec.Codec
	verbs   *verb.Handler
	metrics *metrics
	slis    *slis
	handler http.Handler
	flow    *flow.Controller
	// bodyBudget and answerBudget bound what requests and answers hold.
	bodyBudget, answerBudget *budget
	watches                  chan struct{}

	stopping context.Context // ends when the server stops: watches end
	stop     context.CancelFunc
}

// New makes a server; it serves nothing until Serve is called. Its caller
// owns the cache.
func New(config Config) (*Server, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	c := codec.New(config.Catalog)
	s := &Server{
		Config: config, codec: c,
		verbs: verb.New(verb.Config{
			Cache: config.Cache, Codec: c, Admission: config.Admission, Managers: managed.New(c.Scheme(), config.Types),
			Endpoints: config.Endpoints, Hooks: config.Hooks, Checks: config.Permits, Logger: config.Logger,
		}),
		bodyBudget: newBudget(budgetSize()), answerBudget: newBudget(budgetSize()),
		watches: make(chan struct{}, config.MaxWatches),
	}
	action.Register(config.Endpoints, action.Config{Catalog: config.Catalog, Cache: config.Cache, Do: s.act})
	s.flow, err = flow.New(flow.Options{Seats: config.MaxReads + config.MaxWrites, Wait: config.RequestTimeout / limits.QueuePart, Registry: config.Registry, Logger: config.Logger})
	if err != nil {
		return nil, err
	}
	s.slis = newSLIs()
	s.metrics = newMetrics(config.Registry, config.Cache, config.Version)
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.Handlers = s.ownHandlers(config.Handlers)
	s.handler = s.chain()
	return s, nil
}

// act carries out a request that an action consists of.
func (s *Server) act(ctx context.Context, u user.Info, req *request.Request) error {
	_, err := s.verbs.Do(ctx, u, req)
	return err
}

// Handler is the whole chain.
func (s *Server) Handler() http.Handler { return s.handler }

// Stop ends all watches and those to come. Serve calls it.
func (s *Server) Stop() { s.stop() }

// Serve answers connections of the listener until the context ends, then
// ends watches, lets other requests finish for a bounded time, and returns.
// A nil TLS configuration serves in the clear (tests).
func (s *Server) Serve(ctx context.Context, ln net.Listener, config *tls.Config) error {
	ln = limitConnections(ln, limits.Connections, s.Logger)
	srv := s.httpServer()
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
		ln = tls.NewListener(gather(ln), config)
		srv.TLSConfig, srv.ConnState = config, gatherHTTP2
		if err := http2.ConfigureServer(srv, http2Settings()); err != nil {
			return err
		}
	}
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	go s.followFlow(following)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		s.stop()
		return err
	case <-ctx.Done():
	}
	s.stop()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Shutdown)
	defer cancel()
	if err := srv.Shutdown(patience); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// followFlow keeps priority and fairness to the API's objects.
func (s *Server) followFlow(ctx context.Context) {
	if err := s.flow.Follow(ctx, s.Catalog, s.Cache); err != nil {
		s.Logger.Error("priority levels and flow schemas are not followed any more", "error", err)
	}
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler: s.handler, ReadHeaderTimeout: limits.Handshake, IdleTimeout: limits.Idle, MaxHeaderBytes: limits.Headers,
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
}

func http2Settings() *http2.Server {
	return &http2.Server{MaxConcurrentStreams: limits.Streams, IdleTimeout: limits.Idle}
}
