package probe

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
)

// commands is a runtime in which each command does what its name says.
type commands struct {
	runtimeapi.UnimplementedRuntimeServiceServer
}

func (commands) ExecSync(ctx context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	switch req.GetCmd()[0] {
	case "slow":
		return nil, status.Error(codes.DeadlineExceeded, "the command was killed")
	case "silent":
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case "false":
		return &runtimeapi.ExecSyncResponse{ExitCode: 1}, nil
	}
	return &runtimeapi.ExecSyncResponse{}, nil
}

// A command that takes too long has failed; a runtime that does not answer
// says nothing of the container.
func TestExec(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, commands{})
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	c, err := cri.Dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for command, want := range map[string]Outcome{"true": Success, "false": Failure, "slow": Failure, "silent": Unknown} {
		timeout := time.Minute
		if command == "silent" {
			timeout = time.Millisecond // and what the runtime gets beyond it
		}
		if out, text := Exec(c, "c", []string{command}, timeout)(t.Context()); out != want {
			t.Errorf("%s: %v %q", command, out, text)
		}
	}
}
