package reload

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a certificate with its key in one PEM file that somebody
// renews: it is read anew when the file is another one. Safe for concurrent
// use.
type Certificate struct {
	path   string
	logger *slog.Logger
	pause  time.Duration // tryAgain, but in tests

	mu struct {
		sync.Mutex
		seen
		pair *tls.Certificate
	}
}

// NewCertificate reads the certificate at path.
func NewCertificate(path string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{path: path, logger: logger, pause: tryAgain}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s: %w", path, err)
	}
	c.mu.file, c.mu.pair = info, &pair
	return c, nil
}

// ForServer gives the newest certificate to a TLS server. A file that cannot
// be read changes nothing.
func (c *Certificate) ForServer(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	if err != nil || c.mu.holds(info) {
		return c.mu.pair, nil
	}
	c.mu.seen = seen{file: info} // from before it is read: what changes meanwhile is seen the next time
	pair, err := tls.LoadX509KeyPair(c.path, c.path)
	if err != nil {
		c.mu.again = time.Now().Add(c.pause)
		c.logger.Warn("a changed certificate cannot be used; what it was before stays in use", "path", c.path, "error", err)
		return c.mu.pair, nil
	}
	c.mu.pair = &pair
	return c.mu.pair, nil
}
