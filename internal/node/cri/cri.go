// Package cri is the node agent's side of the container runtime interface:
// the connection to a runtime's Unix socket, the calls of which the agent
// makes use, and the stream of container events.
//
// It owns the connection and nothing else. Calls carry deadlines; errors are
// gRPC status errors, wrapped with the call's name and free of gRPC's prefix
// where they are shown to people (see Message).
package cri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// callTimeout bounds calls that only look or book-keep.
	callTimeout = 2 * time.Minute
	// pullTimeout bounds an image pull as a whole; progress is the runtime's care.
	pullTimeout = time.Hour
	maxMessage  = 16 << 20
)

// Client calls a container runtime. It is safe for concurrent use; Close ends
// its connection. It reconnects by itself after the runtime was restarted.
type Client struct {
	conn    *grpc.ClientConn
	runtime runtimeapi.RuntimeServiceClient
	image   runtimeapi.ImageServiceClient
}

// Observer is told of every call that has ended: upstream's name for it, how
// long it took, and how it failed.
type Observer func(operation string, took time.Duration, err error)

// Dial prepares a connection to the runtime at a Unix socket path or a
// unix:// URL. It does not wait for the runtime. The observer may be nil.
func Dial(endpoint string, observe Observer) (*Client, error) {
	if strings.HasPrefix(endpoint, "/") {
		endpoint = "unix://" + endpoint
	}
	if !strings.HasPrefix(endpoint, "unix:") {
		return nil, fmt.Errorf("runtime endpoint %q: only unix sockets are supported (a path, or unix:///path)", endpoint)
	}
	conn, err := grpc.NewClient(endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(observed(observe)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("runtime endpoint %q: %w", endpoint, err)
	}
	return &Client{
		conn:    conn,
		runtime: runtimeapi.NewRuntimeServiceClient(conn),
		image:   runtimeapi.NewImageServiceClient(conn),
	}, nil
}

// Close ends the connection; calls under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// Message is an error's text without gRPC's decoration, for events and status.
func Message(err error) string {
	if err == nil {
		return ""
	}
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Message()
	}
	return err.Error()
}

// Code is an error's gRPC code; codes.OK for nil.
func Code(err error) codes.Code {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return status.Code(err)
}

// IsNotFound tells that the runtime does not know what was asked for.
func IsNotFound(err error) bool { return Code(err) == codes.NotFound }

// unary makes one call under a deadline.
func unary[Req, Resp any](ctx context.Context, timeout time.Duration,
	fn func(context.Context, *Req, ...grpc.CallOption) (*Resp, error), req *Req) (*Resp, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return fn(ctx, req, grpc.WaitForReady(true))
}

// Events opens the runtime's stream of container events and calls fn for each
// until the stream breaks or ctx ends; the error says why. opened is called
// once the runtime has accepted the stream: what changed before is not told.
func (c *Client) Events(ctx context.Context, opened func(), fn func(*runtimeapi.ContainerEventResponse)) error {
	stream, err := c.runtime.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("container events: %w", err)
	}
	opened()
	for {
		ev, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("container events: the runtime closed the stream: %w", err)
		}
		if err != nil {
			return fmt.Errorf("container events: %w", err)
		}
		fn(ev)
	}
}
