// Package reload reaches the API by a kubeconfig whose certificate is renewed
// while the program runs.
//
// Before every request it looks whether the file is another one (one stat,
// which is nothing beside a request); if so it reads the file and sends this
// and later requests over new connections. Requests under way, watches too,
// end on the old ones, whose certificate is good for months at that time. A
// file that cannot be read changes nothing: the last good one stays in use, and
// the file is tried again, for it may have been the machine that failed.
//
// The address of the API is read once.
package reload

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is a client configuration that follows the kubeconfig at path.
func Config(path string, logger *slog.Logger) (*rest.Config, error) {
	t := &transport{path: path, logger: logger, pause: tryAgain}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config, connections, err := load(path)
	if err != nil {
		return nil, err
	}
	t.mu.file, t.mu.connections = info, connections
	return &rest.Config{Host: config.Host, Transport: t}, nil
}

// load makes the means to connect as a kubeconfig says.
func load(path string) (*rest.Config, http.RoundTripper, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	connections, err := rest.TransportFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("use the kubeconfig %s: %w", path, err)
	}
	return config, connections, nil
}

// tryAgain is the pause after a changed file could not be used.
const tryAgain = time.Minute

// seen is what is known of a file: how it was when it was last looked into, and
// when to look again though it is the same; the zero time for never.
type seen struct {
	file  os.FileInfo
	again time.Time
}

// holds tells that there is nothing new to be read.
func (s seen) holds(now os.FileInfo) bool {
	return os.SameFile(now, s.file) && now.ModTime().Equal(s.file.ModTime()) && now.Size() == s.file.Size() &&
		(s.again.IsZero() || time.Now().Before(s.again))
}

// transport sends requests over connections of the newest credentials. Safe
// for concurrent use.
type transport struct {
	path   string
	logger *slog.Logger
	pause  time.Duration // tryAgain, but in tests

	mu struct {
		sync.Mutex
		seen
		connections http.RoundTripper
	}
}

// RoundTrip is part of http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.current().RoundTrip(r)
}

// CloseIdleConnections closes those that nothing goes over.
func (t *transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	utilnet.CloseIdleConnectionsFor(t.mu.connections)
}

func (t *transport) current() http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	if err != nil || t.mu.holds(info) {
		return t.mu.connections // a file that is away for now comes back as another one
	}
	t.mu.seen = seen{file: info} // from before it is read: what changes meanwhile is seen the next time
	_, fresh, err := load(t.path)
	if err != nil {
		t.mu.again = time.Now().Add(t.pause)
		t.logger.Warn("a changed kubeconfig cannot be used; what it was before stays in use", "error", err)
		return t.mu.connections
	}
	utilnet.CloseIdleConnectionsFor(t.mu.connections)
	t.mu.connections = fresh
	t.logger.Info("credentials were read anew", "kubeconfig", t.path)
	return fresh
}
