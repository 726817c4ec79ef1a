package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc"
	kcri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/knarr-io/knarr/runtime/admin"
	"github.com/knarr-io/knarr/runtime/cri"
	"github.com/knarr-io/knarr/runtime/stream"
)

const (
	maxMessage = 16 << 20
	// stopWait is how long requests that are under way may take when the runtime ends.
	stopWait = 2 * time.Second
)

// serve answers on every socket until ctx is done or one of them fails.
func serve(ctx context.Context, cfg Config, svc *cri.Service) error {
	streams, sln, err := streamServer(svc)
	if err != nil {
		return err
	}
	svc.Streaming = streams
	aln, err := listenUnix(cfg.AdminSocket)
	if err != nil {
		sln.Close()
		return err
	}
	ln, err := listenUnix(cfg.Socket)
	if err != nil {
		sln.Close()
		aln.Close()
		return err
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	kcri.RegisterRuntimeServiceServer(g, svc)
	kcri.RegisterImageServiceServer(g, svc)
	web := &http.Server{Handler: admin.Handler(svc.Images, cfg.Log), ReadHeaderTimeout: 10 * time.Second}
	streamer := stream.Server(streams)
	failed := make(chan error, 3)
	go func() { failed <- g.Serve(ln) }()
	go func() { failed <- web.Serve(aln) }()
	go func() { failed <- streamer.Serve(stream.Watch(sln)) }()
	cfg.Log.Info("serving", "socket", cfg.Socket)
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop(g, web, streamer)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// streamServer listens on loopback; an address that it hands out works once.
func streamServer(svc *cri.Service) (streaming.Server, net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	c := streaming.DefaultConfig
	c.Addr = ln.Addr().String()
	c.BaseURL = &url.URL{Scheme: "http", Host: c.Addr, Path: "/cri/"}
	s, err := streaming.NewServer(c, &stream.Backend{Containers: svc.Containers, Sandboxes: svc.Sandboxes})
	if err != nil {
		ln.Close()
		return nil, nil, err
	}
	return s, ln, nil
}

func stop(g *grpc.Server, servers ...*http.Server) {
	timer := time.AfterFunc(stopWait, g.Stop)
	g.GracefulStop()
	timer.Stop()
	for _, s := range servers {
		s.Close()
	}
}
