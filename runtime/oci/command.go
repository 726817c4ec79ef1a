package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/launch"
)

const (
	// createTime bounds the making of a container: a virtual machine may have to start.
	createTime = 2 * time.Minute
	// commandTime bounds every other command.
	commandTime = 30 * time.Second
	// outputDelay bounds the wait for output of what a program has left behind.
	outputDelay = time.Second
	// maxOutput bounds what is read of a program's output or log, in bytes.
	maxOutput = 1 << 20
)

// argv is a command of the program.
func (r *Runtime) argv(args ...string) []string {
	return append(append([]string{"--root", filepath.Join(r.dir, "state")}, r.config.Args...), args...)
}

// run runs a command with the container's streams, and returns the program's own words on a failure.
func (r *Runtime) run(id string, limit time.Duration, stdio launch.Stdio, args ...string) error {
	if !r.installed() {
		return fault.New(fault.Precondition, "runtime handler %q: program %q is not there", r.name, r.config.Path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	log := filepath.Join(r.bundle(id), "log.json")
	_ = os.Remove(log)
	cmd := exec.CommandContext(ctx, r.config.Path, r.argv(append([]string{"--log", log, "--log-format", "json"}, args...)...)...)
	// A nil *os.File in an interface would not be nil.
	if stdio.Stdin != nil {
		cmd.Stdin = stdio.Stdin
	}
	if stdio.Stdout != nil {
		cmd.Stdout = stdio.Stdout
	}
	if stdio.Stderr != nil {
		cmd.Stderr = stdio.Stderr
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return fault.New(fault.DeadlineExceeded, "%s %s: no answer within %s", r.config.Path, args[0], limit)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", r.config.Path, args[0], err, lastWords(log))
	}
	return nil
}

// output runs a command and returns what it prints.
func (r *Runtime) output(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	var out, words limited
	cmd := exec.CommandContext(ctx, r.config.Path, r.argv(args...)...)
	cmd.Stdout, cmd.Stderr = &out, &words
	cmd.WaitDelay = outputDelay
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, fmt.Errorf("%s %s: %w: %s", r.config.Path, args[0], err, strings.TrimSpace(words.String()))
	}
	return out.Bytes(), nil
}

// limited keeps the first bytes that are written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), maxOutput-l.Len())])
	return len(p), nil
}

// lastWords is the last message of a program's log, which is an error's.
func lastWords(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return "it says nothing"
	}
	defer f.Close()
	words := "it says nothing"
	dec := json.NewDecoder(io.LimitReader(f, maxOutput))
	for {
		var line struct {
			Msg string `json:"msg"`
		}
		if err := dec.Decode(&line); err != nil {
			if !errors.Is(err, io.EOF) {
				return "its log cannot be read: " + err.Error()
			}
			return words
		}
		if line.Msg != "" {
			words = line.Msg
		}
	}
}
