package cri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/fault"
)

func TestCodeOfAnError(t *testing.T) {
	lookup := &net.OpError{Op: "dial", Err: fmt.Errorf("look up: %w", context.DeadlineExceeded)}
	for _, tc := range []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{errors.New("plain"), codes.Unknown},
		{status.Error(codes.Aborted, "has one"), codes.Aborted},
		{context.Canceled, codes.Canceled},
		{fault.As(fault.Unavailable, context.Canceled), codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{fmt.Errorf("stop: %w", container.ErrTimeout), codes.DeadlineExceeded},
		{fault.As(fault.Unavailable, lookup), codes.Unavailable},
		{fault.New(fault.NotFound, "no such thing"), codes.NotFound},
	} {
		if got := status.Code(toStatus(tc.err)); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
	}
}
