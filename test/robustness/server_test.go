package robustness

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// startTime bounds how long a server may take until it answers, on a machine
// that has much else to do.
const startTime = 4 * time.Minute

// server is the process under test. It is driven by one goroutine. Its socket
// is ours, as it is knarr-keep's elsewhere: it stays open between two lives, and
// who connects meanwhile waits.
type server struct {
	knarr, dir string
	disk       *disk
	socket     *os.File
	address    string
	log        *os.File

	cmd   *exec.Cmd
	leash *os.File      // the server ends when this is closed
	ended chan struct{} // closed when the process is gone
}

func newServer(knarr, dir string, d *disk) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	s := &server{knarr: knarr, dir: dir, disk: d, address: listener.Addr().String()}
	if s.socket, err = listener.(*net.TCPListener).File(); err != nil {
		return nil, err
	}
	s.log, err = os.Create(filepath.Join(dir, "server.log"))
	return s, err
}

func (s *server) kubeconfig() string { return filepath.Join(s.disk.dir, "data", "admin.kubeconfig") }

// launch starts the process and does not wait until it answers.
func (s *server) launch() error {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	// The shell is there for LISTEN_PID alone, and becomes the server.
	s.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, s.knarr, "server", "--api-only", "--until-eof",
		"--data-dir="+filepath.Join(s.disk.dir, "data"), "--run-dir="+filepath.Join(s.dir, "run"),
		"--node-name=robustness", "--node-address=127.0.0.1", "--api-port="+port)
	s.cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=api")
	s.cmd.ExtraFiles = []*os.File{s.socket}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	stdin, leash, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	s.cmd.Stdin, s.leash = stdin, leash
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func(cmd *exec.Cmd) {
		defer close(ended)
		_ = cmd.Wait()
	}(s.cmd)
	return nil
}

// signal sends the process a signal; one that is gone gets none.
func (s *server) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// gone waits until the process has ended.
func (s *server) gone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case <-s.ended:
		return s.leash.Close()
	case <-ctx.Done():
		return fmt.Errorf("the server does not end: %w", ctx.Err())
	}
}

// kill ends the process at once.
func (s *server) kill(ctx context.Context) error {
	s.signal(syscall.SIGKILL)
	return s.gone(ctx)
}

// close ends what there is of the server.
func (s *server) close() {
	if s.cmd != nil {
		s.signal(syscall.SIGKILL)
		<-s.ended
		_ = s.leash.Close()
	}
	_ = s.socket.Close()
	_ = s.log.Close()
}

// alive tells that the process has not ended.
func (s *server) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// panics are lines of the log that no fault excuses.
func (s *server) panics() ([]string, error) {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return nil, err
	}
	var found []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		for _, sign := range []string{"panic: ", "fatal error: ", "request panicked"} {
			if bytes.Contains(lines.Bytes(), []byte(sign)) {
				found = append(found, "line "+strconv.Itoa(n)+" of the server's log: "+lines.Text())
			}
		}
	}
	return found, lines.Err()
}
