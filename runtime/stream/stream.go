// Package stream joins clients' streams to containers: exec, attach and
// port-forward. The library speaks SPDY and WebSocket and hands out addresses
// that work once; this package moves the bytes.
package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/sandbox"
	"github.com/knarr-io/knarr/runtime/stdio"
)

// Backend implements what the streaming library needs.
type Backend struct {
	Containers *container.Manager
	Sandboxes  *sandbox.Manager
}

var _ streaming.Runtime = (*Backend)(nil)

// Exec runs a command with the client's streams. A non-zero exit code is an exec.ExitError.
func (b *Backend) Exec(ctx context.Context, id string, cmd []string, in io.Reader, out, err io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := container.ExecOptions{Args: cmd, TTY: tty, Stdin: in, Resize: convert(ctx, sizes)}
	if out != nil {
		defer out.Close()
		o.Out = out
	}
	if err != nil {
		defer err.Close()
		o.Err = err
	}
	code, execErr := b.Containers.Exec(ctx, id, o)
	if execErr != nil {
		return execErr
	}
	if code != 0 {
		return &utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// convert passes sizes on until ctx ends; without a terminal there are none.
func convert(ctx context.Context, in <-chan remotecommand.TerminalSize) <-chan container.Size {
	out := make(chan container.Size)
	if in == nil {
		close(out)
		return out
	}
	go func() {
		defer close(out)
		for {
			select {
			case s, ok := <-in:
				if !ok {
					return
				}
				select {
				case out <- container.Size{Width: s.Width, Height: s.Height}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Attach joins the client to a container's own streams until the container or the client ends.
func (b *Backend) Attach(ctx context.Context, id string, in io.Reader, out, err io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	c, gerr := b.Containers.Get(id)
	if gerr != nil {
		return gerr
	}
	streams := c.Streams()
	if streams == nil {
		return fault.New(fault.Precondition, "container %s is not running", id)
	}
	return attach(ctx, streams, c.Config.GetStdinOnce(), in, out, err, tty, sizes)
}

func attach(ctx context.Context, streams *stdio.Streams, once bool, in io.Reader, out, err io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	client := streams.Taps.Attach()
	defer client.Detach()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, life := range []context.Context{ctx, connection(ctx)} {
		stop := context.AfterFunc(life, client.Detach)
		defer stop()
	}
	go func() {
		for s := range convert(ctx, sizes) {
			_ = streams.Resize(s.Width, s.Height)
		}
	}()
	if stdin := streams.Stdin(); in != nil && stdin != nil {
		go func() {
			_, cerr := io.Copy(stdin, in)
			if once && !tty && cerr == nil {
				streams.CloseStdin()
			}
			// A client that only sends has nothing more to wait for.
			if out == nil && err == nil {
				client.Detach()
			}
		}()
	}
	return client.Copy(writer(out), writer(err))
}

// writer avoids an interface that holds a nil.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return nil
	}
	return w
}

// dialWait bounds a connection to a port of a pod.
const dialWait = 10 * time.Second

// PortForward connects the client to a port on the pod's loopback address.
func (b *Backend) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	sb, err := b.Sandboxes.Get(id)
	if err != nil {
		return err
	}
	conn, err := dial(ctx, sb, port)
	if err != nil {
		return fmt.Errorf("failed to connect to port %d of the pod: %w", port, err)
	}
	return forward(ctx, stream, conn)
}

// forward moves bytes until both sides have sent all, or one is broken.
func forward(ctx context.Context, stream io.ReadWriteCloser, conn net.Conn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var wait sync.WaitGroup
	wait.Go(func() {
		_, _ = io.Copy(conn, stream)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	})
	_, err := io.Copy(stream, conn)
	stream.Close()
	if err == nil {
		wait.Wait() // the other way may still be open
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// dial connects inside the pod's network namespace, by IPv4 and then by IPv6.
func dial(ctx context.Context, sb *sandbox.Sandbox, port int32) (net.Conn, error) {
	var conn net.Conn
	attempt := func() error {
		var all error
		// One goroutine is in the namespace, so the dialer may not race addresses itself.
		d := net.Dialer{Timeout: dialWait, FallbackDelay: -1}
		for _, host := range []string{"127.0.0.1", "::1"} {
			c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
			if err == nil {
				conn = c
				return nil
			}
			all = errors.Join(all, err)
		}
		return all
	}
	if sb.HostNetwork() {
		err := attempt()
		return conn, err
	}
	err := nspace.Do(nspace.Path(sb.NamespaceDir(), nspace.Net), nspace.Net, attempt)
	return conn, err
}
