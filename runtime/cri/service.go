// Package cri serves CRI v1 by gRPC. It translates requests and answers, and
// decides nothing: sandboxes, containers and images have packages of their own.
package cri

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/events"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image"
	"github.com/knarr-io/knarr/runtime/oci"
	"github.com/knarr-io/knarr/runtime/sandbox"
	"github.com/knarr-io/knarr/runtime/spec"
)

// Service implements CRI's RuntimeService and ImageService.
type Service struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer

	Log *slog.Logger
	// Release is the version of the program.
	Release    string
	Images     *image.Store
	Sandboxes  *sandbox.Manager
	Containers *container.Manager
	Host       spec.Host
	// Pinned are names of images that nobody may collect, also with a * at the end.
	Pinned []string
	// Builtin are the names of the built-in runtime handler; Handlers are the
	// programs of the others.
	Builtin   []string
	Handlers  *oci.Set
	Streaming streaming.Server
	// Stopping is closed when the runtime ends, which ends streams of events.
	Stopping <-chan struct{}
	// events are what GetContainerEvents passes on.
	events events.Hub[*cri.ContainerEventResponse]
	disk   diskCache
}

// code is the gRPC code of a class of errors.
func code(kind fault.Kind) codes.Code {
	switch kind {
	case fault.NotFound:
		return codes.NotFound
	case fault.Invalid:
		return codes.InvalidArgument
	case fault.Exists:
		return codes.AlreadyExists
	case fault.Precondition:
		return codes.FailedPrecondition
	case fault.Unauthenticated:
		return codes.Unauthenticated
	case fault.Unavailable:
		return codes.Unavailable
	case fault.Exhausted:
		return codes.ResourceExhausted
	case fault.DeadlineExceeded:
		return codes.DeadlineExceeded
	}
	return codes.Unknown
}

// toStatus gives an error its gRPC code; its words stay.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	kind := fault.Of(err)
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case kind != fault.Internal:
		// A class counts over a time that ran out on the way, such as that of
		// looking up a registry's name.
		return status.Error(code(kind), err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, container.ErrTimeout):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Unknown, err.Error())
}

// seconds is a time-out as CRI carries it; negative ones mean none.
func seconds(n int64) time.Duration { return time.Duration(max(n, 0)) * time.Second }
