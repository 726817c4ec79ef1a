package cri

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// deadlines notes how long each command may take by its call.
type deadlines struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	left []time.Duration // zero: no bound
}

func (d *deadlines) ExecSync(ctx context.Context, _ *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	left := time.Duration(0)
	if at, ok := ctx.Deadline(); ok {
		left = time.Until(at)
	}
	d.left = append(d.left, left)
	return &runtimeapi.ExecSyncResponse{}, nil
}

// A command without a time of its own, such as a hook after the start, may
// take as long as its caller lets it.
func TestCommandsAreBoundByTheirTime(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	runtime, server := &deadlines{}, grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, runtime)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	c, err := Dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bounded, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, call := range []struct {
		ctx     context.Context
		timeout time.Duration
	}{{t.Context(), 0}, {bounded, 0}, {t.Context(), 10 * time.Minute}} {
		if _, err := c.ExecSync(call.ctx, "c", []string{"true"}, call.timeout); err != nil {
			t.Fatal(err)
		}
	}
	hook, hour, probe := runtime.left[0], runtime.left[1], runtime.left[2]
	if hook != 0 || hour < 30*time.Minute || probe <= 0 || probe > 11*time.Minute {
		t.Errorf("bounds: a hook %s, within an hour %s, ten minutes %s", hook, hour, probe)
	}
}
