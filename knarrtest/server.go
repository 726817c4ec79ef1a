package knarrtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options of a server. The zero value is good.
type Options struct {
	// Binary is the knarr program; empty: KNARRTEST_BINARY, then PATH.
	Binary string
	// Flags are further flags of `knarr server`, such as
	// "--service-network=10.0.0.0/24".
	Flags []string
	// Dir is where credentials lie; empty: a folder that is removed by Stop.
	Dir string
	// Log gets what the server logs; nil: it is kept for errors.
	Log io.Writer
	// Patience bounds the start and the stop, each; zero: two minutes.
	Patience time.Duration
}

// Server is a running API server. Its methods are safe for concurrent use.
type Server struct {
	url        string
	dir        string
	ownDir     bool
	kubeconfig []byte
	client     *http.Client
	patience   time.Duration

	process *exec.Cmd
	leash   io.Closer // the server ends when this is closed
	log     *tail
	ended   chan struct{} // closed when the process is gone
}

// Start starts a server and returns when it answers. The caller stops it.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{dir: o.Dir, log: &tail{also: o.Log}, ended: make(chan struct{}), patience: o.Patience}
	if s.patience == 0 {
		s.patience = 2 * time.Minute
	}
	binary, err := find(o.Binary)
	if err != nil {
		return nil, err
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "knarrtest-"); err != nil {
			return nil, err
		}
		s.ownDir = true
	}
	if err := s.launch(binary, o.Flags); err != nil {
		s.removeDir()
		return nil, err
	}
	if err := s.await(ctx); err != nil {
		stopped := s.Stop() // and the log is whole
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", binary, err, s.log), stopped)
	}
	return s, nil
}

func find(given string) (string, error) {
	for _, name := range []string{given, os.Getenv("KNARRTEST_BINARY"), "knarr"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("find the knarr program (set KNARRTEST_BINARY to its path, or put it into PATH): %w", err)
		}
		return path, nil
	}
	return "", nil
}

// launch starts the process with a socket that listens already: connections
// wait in it until the server takes them, and nobody else gets its port.
func (s *Server) launch(binary string, flags []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer socket.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	s.url = "https://" + listener.Addr().String()

	// The shell is there for LISTEN_PID alone, and becomes the server.
	arguments := append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "server", "--api-only", "--store=memory", "--until-eof",
		"--data-dir=" + filepath.Join(s.dir, "data"), "--run-dir=" + filepath.Join(s.dir, "run"),
		"--node-name=knarrtest", "--node-address=127.0.0.1", "--api-port=" + strconv.Itoa(port)}, flags...)
	s.process = exec.Command("/bin/sh", arguments...)
	s.process.Env = append(environment(), "LISTEN_FDS=1", "LISTEN_FDNAMES=api")
	s.process.ExtraFiles = []*os.File{socket}
	s.process.Stdout, s.process.Stderr = s.log, s.log
	leash, err := s.process.StdinPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	s.leash = leash
	go func() {
		defer close(s.ended)
		_ = s.process.Wait()
	}()
	return nil
}

// environment is ours without what would be settings of the server.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KNARR_") })
}

// askAgain is the pause after an answer that says that the server is not ready.
const askAgain = 20 * time.Millisecond

// await returns when the server says that it is ready.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	go func() {
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := firstAnswer(ctx, s.url)
	for err != nil && ctx.Err() == nil { // a busy machine is not ready at once
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
			err = firstAnswer(ctx, s.url)
		}
	}
	if err != nil {
		return err
	}
	if s.kubeconfig, err = os.ReadFile(s.KubeconfigFile()); err != nil {
		return err
	}
	s.client, err = clientOf(s.kubeconfig)
	return err
}

// Stop ends the server and removes what it wrote. It may be called twice.
func (s *Server) Stop() error {
	defer s.removeDir()
	_ = s.leash.Close()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(s.patience):
	}
	_ = s.process.Process.Kill()
	<-s.ended
	return fmt.Errorf("the server did not end within %v and was killed:\n%s", s.patience, s.log)
}

func (s *Server) removeDir() {
	if s.ownDir {
		_ = os.RemoveAll(s.dir)
	}
}

// URL is where the API is, on loopback.
func (s *Server) URL() string { return s.url }

// Log is the end of what the server logged.
func (s *Server) Log() string { return s.log.String() }

// tail keeps the end of what is written to it, and passes all of it on.
type tail struct {
	also io.Writer
	kept guarded
}

const tailBytes = 64 << 10

// Write is part of io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept.change(func(b *bytes.Buffer) {
		b.Write(p)
		if extra := b.Len() - tailBytes; extra > 0 {
			b.Next(extra)
		}
	})
	if t.also != nil {
		return t.also.Write(p)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() (out string) {
	t.kept.change(func(b *bytes.Buffer) { out = b.String() })
	return out
}
