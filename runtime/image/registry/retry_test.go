package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"syscall"
	"testing"
)

// A connection that broke is made anew; one that never came about is not.
func TestAgain(t *testing.T) {
	lookup := &net.DNSError{Err: "i/o timeout", Name: "index.docker.io", IsTimeout: true, IsTemporary: true}
	for want, list := range map[bool][]error{
		true: {
			io.ErrUnexpectedEOF, fmt.Errorf("read: %w", syscall.ECONNRESET),
			&net.OpError{Op: "read", Err: syscall.ECONNRESET}, &net.OpError{Op: "read", Err: context.DeadlineExceeded},
		},
		false: {
			&net.OpError{Op: "dial", Err: lookup}, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
			&url.Error{Op: "Get", URL: "https://index.docker.io/v2/", Err: &net.OpError{Op: "dial", Err: lookup}},
			errors.New("manifest unknown"),
		},
	} {
		for _, err := range list {
			if got := again(err); got != want {
				t.Errorf("%v: another try: %v", err, got)
			}
		}
	}
}
