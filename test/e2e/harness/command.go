package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// commandTime bounds a command that is expected to end by itself; it is longer
// than what commands are told to wait.
const commandTime = Patience + time.Minute

// Outcome is what a command that ended said.
type Outcome struct {
	Command        string
	Stdout, Stderr string
	// Code is the exit code; -1 where a signal ended it.
	Code int
	// Err is set where the command failed or could not be run.
	Err error
}

// String shows the whole outcome, for a test's failure.
func (o Outcome) String() string {
	return fmt.Sprintf("$ %s\n%s%s(exit code %d, %v)", o.Command, o.Stdout, o.Stderr, o.Code, o.Err)
}

// Input is a command to run. Stdin and Env may be empty.
type Input struct {
	Argv  []string
	Stdin string
	Env   []string
	// Prepare changes the command before it starts.
	Prepare func(*exec.Cmd)
}

func (c *Cluster) command(ctx context.Context, in Input) *exec.Cmd {
	cmd := exec.CommandContext(ctx, in.Argv[0], in.Argv[1:]...)
	cmd.Env = append(c.environment(), in.Env...)
	cmd.Dir = c.Dir
	cmd.WaitDelay = 5 * time.Second
	if in.Stdin != "" {
		cmd.Stdin = strings.NewReader(in.Stdin)
	}
	if in.Prepare != nil {
		in.Prepare(cmd)
	}
	return cmd
}

// Try runs a command on the cluster's machine to its end. Its time is bounded.
func (c *Cluster) Try(ctx context.Context, in Input) Outcome {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := c.command(ctx, in)
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	err := c.Machine.Inside(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	out := Outcome{Command: strings.Join(in.Argv, " "), Stdout: stdout.String(), Stderr: stderr.String(), Err: err, Code: -1}
	if cmd.ProcessState != nil {
		out.Code = cmd.ProcessState.ExitCode()
	}
	return out
}

// Run runs a command that must succeed and returns its standard output.
func (c *Cluster) Run(t testing.TB, in Input) string {
	t.Helper()
	out := c.Try(context.WithoutCancel(t.Context()), in)
	if out.Err != nil {
		t.Fatalf("%s", out)
	}
	return out.Stdout
}

// Running is a command that goes on beside the test.
type Running struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed

	mu     sync.Mutex
	output bytes.Buffer // standard output and error
}

// Write takes the command's output; only the command calls it.
func (r *Running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.Write(p)
}

// Output is everything that the command has written so far.
func (r *Running) Output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.String()
}

// Signal sends the command a signal, unless it has ended by then.
func (r *Running) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %s: %v", r.cmd, err)
	}
}

// Stop ends the command and waits until it is gone.
func (r *Running) Stop() {
	r.cancel()
	<-r.done
}

// Wait waits for the command's own end.
func (r *Running) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%s goes on: %w\n%s", r.cmd, ctx.Err(), r.Output())
	}
}

// Await waits until the output contains a text.
func (r *Running) Await(t testing.TB, text string) {
	t.Helper()
	Await(t, Patience, fmt.Sprintf("%q in the output of %s", text, r.cmd), func(context.Context) error {
		if out := r.Output(); !strings.Contains(out, text) {
			return fmt.Errorf("it has written:\n%s", out)
		}
		return nil
	})
}

// Start starts a command that ends with the test at the latest.
func (c *Cluster) Start(t testing.TB, in Input) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &Running{cancel: cancel, done: make(chan struct{})}
	r.cmd = c.command(ctx, in)
	if r.cmd.Stdout == nil {
		r.cmd.Stdout, r.cmd.Stderr = io.Writer(r), io.Writer(r)
	}
	if err := c.Machine.Inside(r.cmd.Start); err != nil {
		cancel()
		t.Fatalf("start %s: %v", r.cmd, err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(r.Stop)
	return r
}
