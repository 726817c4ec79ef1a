package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/runc/libcontainer/utils"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/launch"
	"github.com/knarr-io/knarr/runtime/logs"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/stdio"
)

// ExecOptions is a process to run in a container.
type ExecOptions struct {
	Args []string
	TTY  bool
	// Stdin may be nil; Out and Err too, for no output. With a terminal Err is not used.
	Stdin    io.Reader
	Out, Err io.Writer
	// Resize carries sizes of the terminal, in columns and rows.
	Resize <-chan Size
	// Timeout ends the process; zero means none.
	Timeout time.Duration
}

// Size is the size of a terminal.
type Size struct{ Width, Height uint16 }

// ErrTimeout says that a process took too long and was killed.
var ErrTimeout = errors.New("command timed out")

// outputWait is how long output may still come after the process has ended,
// from descendants that it left.
const outputWait = time.Second

// Exec runs a process in a container and returns its exit code. It blocks
// until the process has ended and its output is written. When ctx ends the
// process is killed.
func (m *Manager) Exec(ctx context.Context, id string, o ExecOptions) (int, error) {
	c, err := m.running(id)
	if err != nil {
		return 0, err
	}
	s, err := m.readSpec(c.Meta.ID)
	if err != nil {
		return 0, err
	}
	p := *s.Process
	p.Args, p.Terminal = o.Args, o.TTY
	if len(o.Args) == 0 {
		return 0, fault.New(fault.Invalid, "no command given")
	}
	if o.TTY {
		return m.execTerminal(ctx, c, &p, o)
	}
	return m.execPipes(ctx, c, &p, o)
}

// execPipes gives the process a pipe for each stream.
func (m *Manager) execPipes(ctx context.Context, c *Container, p *specs.Process, o ExecOptions) (int, error) {
	var ends launch.Stdio
	var mine []*os.File
	defer func() { closeFiles(append(mine, ends.Stdin, ends.Stdout, ends.Stderr)) }()
	var copies []func()
	for _, out := range []struct {
		child *(*os.File)
		to    io.Writer
	}{{&ends.Stdout, o.Out}, {&ends.Stderr, o.Err}} {
		r, w, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		*out.child = w
		mine = append(mine, r)
		to := out.to
		if to == nil {
			to = io.Discard
		}
		copies = append(copies, func() {
			_, _ = io.Copy(to, &output{file: r})
			// A client who has gone is a closed pipe to the command: it would wait for a reader for ever.
			r.Close()
		})
	}
	in, err := execStdin(&ends, o.Stdin)
	if err != nil {
		return 0, err
	}
	mine = append(mine, in)
	if sb, err := m.cfg.Sandboxes.Get(c.Meta.SandboxID); err == nil {
		if err := usersOf(sb).ownStreams(ends.Stdin, ends.Stdout, ends.Stderr); err != nil {
			return 0, err
		}
	}
	id, err := m.engine(c).Exec(c.Meta.ID, p, ends)
	if err != nil {
		return 0, fmt.Errorf("failed to exec in container: %w", err)
	}
	closeFiles([]*os.File{ends.Stdin, ends.Stdout, ends.Stderr})
	ends = launch.Stdio{}
	if in != nil {
		go feed(in, o.Stdin)
	}
	return m.execWait(ctx, id, o.Timeout, copies, mine)
}

func execStdin(ends *launch.Stdio, stdin io.Reader) (*os.File, error) {
	var err error
	if stdin == nil {
		ends.Stdin, err = os.OpenFile(os.DevNull, os.O_RDONLY, 0)
		return nil, err
	}
	var in *os.File
	ends.Stdin, in, err = os.Pipe()
	return in, err
}

// feed copies a client's input until either side ends, and then closes the process's.
func feed(in *os.File, from io.Reader) {
	_, _ = io.Copy(in, from)
	in.Close()
}

// execTerminal gives the process a terminal.
func (m *Manager) execTerminal(ctx context.Context, c *Container, p *specs.Process, o ExecOptions) (int, error) {
	parent, child, err := utils.NewSockPair("console")
	if err != nil {
		return 0, err
	}
	defer parent.Close()
	id, err := m.engine(c).Exec(c.Meta.ID, p, launch.Stdio{Console: child})
	child.Close()
	if err != nil {
		return 0, fmt.Errorf("failed to exec in container: %w", err)
	}
	master, err := stdio.ReceiveTerminal(parent)
	if err != nil {
		// It runs already, and nobody could speak with it.
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(err)
		return m.execWait(ctx, id, 0, nil, nil)
	}
	defer master.Close()
	if o.Stdin != nil {
		go func() { _, _ = io.Copy(master, o.Stdin) }()
	}
	stop := make(chan struct{})
	defer close(stop)
	go resize(master, o.Resize, stop)
	out := o.Out
	if out == nil {
		out = io.Discard
	}
	return m.execWait(ctx, id, o.Timeout, []func(){func() {
		// A client who has gone hangs up: the command would wait for ever on a terminal that is full.
		if _, err := io.Copy(out, &output{file: master}); err != nil && !errors.Is(err, unix.EIO) {
			master.Close()
		}
	}}, []*os.File{master})
}

func resize(master *os.File, sizes <-chan Size, stop <-chan struct{}) {
	for {
		select {
		case s, ok := <-sizes:
			if !ok {
				return
			}
			_ = stdio.ResizeTerminal(master, s.Width, s.Height)
		case <-stop:
			return
		}
	}
}

// execWait copies output until the process has ended, kills it when it may not
// go on, and returns its exit code.
func (m *Manager) execWait(ctx context.Context, id proc.ID, timeout time.Duration, copies []func(), files []*os.File) (int, error) {
	h, err := id.Watch()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	limited := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		both := make(chan struct{}, len(copies))
		for _, f := range copies {
			go func() { f(); both <- struct{}{} }()
		}
		for range copies {
			<-both
		}
	}()
	var cause error
	if err := h.Wait(limited); err != nil {
		cause = context.Cause(limited)
		if cause == nil {
			cause = err
		}
		killTree(h)
		_ = h.Wait(context.WithoutCancel(ctx))
	}
	status, err := h.Reap()
	settle(done, files)
	if cause != nil {
		return 0, cause
	}
	return status.Code, err
}

// settle waits until the output of an ended process is written. Descendants
// that still hold its streams are not waited for; a client who takes its time is.
func settle(done <-chan struct{}, files []*os.File) {
	if logs.Drained(done, outputWait) {
		return
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		if err := f.SetReadDeadline(time.Unix(1, 0)); err != nil {
			f.Close() // whoever reads from it cannot be told to stop
		}
	}
	<-done
}

// killTree kills a process and what it started.
func killTree(h *proc.Handle) {
	for _, id := range proc.Descendants(h.ID) {
		_ = id.Signal(unix.SIGKILL)
	}
	_ = h.Signal(unix.SIGKILL)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
