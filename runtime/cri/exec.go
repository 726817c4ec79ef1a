package cri

import (
	"bytes"
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/fault"
)

// maxExecOutput bounds the outputs of ExecSync, in bytes; what follows is
// dropped. Clients take messages of 16 MiB, with some bytes around them.
const maxExecOutput = 16<<20 - 1<<10

// limited keeps the first bytes that are written to it.
type limited struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p[:min(len(p), maxExecOutput-l.buf.Len())])
	return len(p), nil
}

// bytes returns what was kept; a descendant may still be writing.
func (l *limited) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}

// fit cuts two outputs to what one answer may hold. Half of it is each one's own.
func fit(a, b []byte) ([]byte, []byte) {
	const half = maxExecOutput / 2
	return a[:min(len(a), maxExecOutput-min(len(b), half))], b[:min(len(b), maxExecOutput-min(len(a), half))]
}

// ExecSync runs a command in a container and returns its output.
func (s *Service) ExecSync(ctx context.Context, r *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	var out, err limited
	exit, execErr := s.Containers.Exec(ctx, r.GetContainerId(), container.ExecOptions{
		Args: r.GetCmd(), Out: &out, Err: &err, Timeout: seconds(r.GetTimeout())})
	if execErr != nil {
		return nil, toStatus(execErr)
	}
	stdout, stderr := fit(out.bytes(), err.bytes())
	return &cri.ExecSyncResponse{Stdout: stdout, Stderr: stderr, ExitCode: int32(exit)}, nil
}

// requireRunning answers early for a container that nothing can be run in.
func (s *Service) requireRunning(id string) error {
	c, err := s.Containers.Get(id)
	if err != nil {
		return err
	}
	if st := c.State(); st != cri.ContainerState_CONTAINER_RUNNING {
		return fault.New(fault.Precondition, "container %s is not running, its state is %s", id, st)
	}
	return nil
}

// Exec returns an address where a command can be run with streams.
func (s *Service) Exec(_ context.Context, r *cri.ExecRequest) (*cri.ExecResponse, error) {
	if err := s.requireRunning(r.GetContainerId()); err != nil {
		return nil, toStatus(err)
	}
	resp, err := s.Streaming.GetExec(r)
	return resp, toStatus(err)
}

// Attach returns an address where a container's own streams can be had.
func (s *Service) Attach(_ context.Context, r *cri.AttachRequest) (*cri.AttachResponse, error) {
	if err := s.requireRunning(r.GetContainerId()); err != nil {
		return nil, toStatus(err)
	}
	resp, err := s.Streaming.GetAttach(r)
	return resp, toStatus(err)
}

// PortForward returns an address where connections to a pod's ports can be made.
func (s *Service) PortForward(_ context.Context, r *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	sb, err := s.Sandboxes.Get(r.GetPodSandboxId())
	if err != nil {
		return nil, toStatus(err)
	}
	if !sb.Ready() {
		return nil, toStatus(fault.New(fault.Precondition, "sandbox %s is not ready", sb.ID))
	}
	resp, err := s.Streaming.GetPortForward(r)
	return resp, toStatus(err)
}

// CheckpointContainer is not offered: it needs CRIU on the node.
func (s *Service) CheckpointContainer(context.Context, *cri.CheckpointContainerRequest) (*cri.CheckpointContainerResponse, error) {
	return nil, status.Error(codes.Unimplemented, "this runtime does not checkpoint containers")
}
