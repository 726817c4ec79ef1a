package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// alone is how often the API is started by itself, beside how many.
	alone, besideEachOther = 10, 5
	// aloneTime bounds one start.
	aloneTime = 30 * time.Second
)

// measureAlone starts the API without anything else, as the tests of operators
// do: until it is ready, and what it holds then; one at a time, and then
// several side by side.
func measureAlone(ctx context.Context, c *cluster) ([]figure, error) {
	var took, anonymous []float64
	for range alone {
		s, err := startAlone(ctx, c)
		if err != nil {
			return nil, err
		}
		held, err := memoryOf(map[string]int{"server": s.process.Process.Pid})
		s.stop()
		if err != nil {
			return nil, err
		}
		took, anonymous = append(took, milliseconds(s.took)), append(anonymous, held.anonymous)
	}
	var several float64
	for range besideEachOther {
		s, err := startAlone(ctx, c)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		held, err := memoryOf(map[string]int{"server": s.process.Process.Pid})
		if err != nil {
			return nil, err
		}
		several = max(several, held.proportional)
	}
	return []figure{
		spread("the API alone in memory, from nothing to ready", "ms", "300 ms", took),
		spread("the API alone in memory, just ready: anonymous", "MiB", "40 MiB", anonymous),
		single(fmt.Sprintf("the API alone, %d side by side: most that one holds (PSS)", besideEachOther), "MiB", "", several),
	}, nil
}

// aloneServer is one API by itself.
type aloneServer struct {
	process *exec.Cmd
	dir     string
	took    time.Duration
}

func startAlone(ctx context.Context, c *cluster) (*aloneServer, error) {
	dir, err := os.MkdirTemp(c.home, "alone-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &aloneServer{dir: dir}
	s.process = exec.Command(c.knarr, "server", "--api-only", "--store=memory", "--node-name=alone", "--node-address=127.0.0.1",
		"--data-dir="+filepath.Join(dir, "data"), "--run-dir="+filepath.Join(dir, "run"), "--api-port="+strconv.Itoa(port))
	began := time.Now()
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := ready(ctx, fmt.Sprintf("https://127.0.0.1:%d/readyz", port)); err != nil {
		s.stop()
		return nil, err
	}
	s.took = time.Since(began)
	return s, nil
}

func (s *aloneServer) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	_ = s.process.Wait()
	_ = os.RemoveAll(s.dir)
}

// freePort is one that was free just now.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// ready asks until the answer is yes.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, aloneTime)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // its authority is as new as it is
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API alone did not become ready: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}
