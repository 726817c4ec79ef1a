package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Order asks for a certificate that is kept in the directory under Name.
type Order struct {
	// Name is the file's name without its ending.
	Name string
	Request
	// FrontProxy has the front proxy's authority sign it.
	FrontProxy bool
}

// Certificate is a certificate with its key, kept fresh by Authority.Run. It
// is safe for concurrent use.
type Certificate struct {
	ca      *CA
	current atomic.Pointer[held]

	// mu serialises renewals.
	mu    sync.Mutex
	order Order
}

// held is one version of a certificate, immutable.
type held struct {
	tls  tls.Certificate
	leaf *x509.Certificate
	pair []byte
}

// Certificates loads the ordered certificates or issues them: where a file is
// missing, or holds something other than what is ordered, or is due for
// renewal, or has not begun. Calling it again with an order of the same name
// replaces what is asked for (as when the machine's addresses changed) and
// returns the same Certificate.
func (a *Authority) Certificates(orders ...Order) ([]*Certificate, error) {
	out, files, err := a.certificates(orders)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(a.dir, files); err != nil {
		return nil, err
	}
	a.wake()
	return out, nil
}

// certificates also returns the files to be written.
func (a *Authority) certificates(orders []Order) ([]*Certificate, []file, error) {
	out := make([]*Certificate, len(orders))
	fresh := make([]*file, len(orders))
	var group errgroup.Group
	for i, order := range orders {
		group.Go(func() (err error) {
			out[i], fresh[i], err = a.certificate(order)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	var files []file
	for _, f := range fresh {
		if f != nil {
			files = append(files, *f)
		}
	}
	return out, files, nil
}

// certificate finds or makes one certificate; the file is what must be
// written, nil where nothing changed.
func (a *Authority) certificate(order Order) (*Certificate, *file, error) {
	if order.Name == "" || strings.ContainsAny(order.Name, "/\x00") || strings.HasPrefix(order.Name, ".") {
		return nil, nil, fmt.Errorf("certificate name %q is not a file name", order.Name)
	}
	c := a.registered(order)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order = order
	if h := c.current.Load(); h == nil {
		h, err := a.read(order)
		if err != nil {
			return nil, nil, err
		}
		if h != nil {
			c.current.Store(h)
		}
	}
	if h := c.current.Load(); h != nil && order.matches(h.leaf) && untilDue(h.leaf) > 0 && h.leaf.CheckSignatureFrom(c.ca.cert) == nil {
		return c, nil, nil
	}
	f, err := a.issueLocked(c)
	return c, f, err
}

func (a *Authority) registered(order Order) *Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.mu.certificates[order.Name]
	if c == nil {
		c = &Certificate{ca: a.cluster}
		if order.FrontProxy {
			c.ca = a.frontProxy
		}
		a.mu.certificates[order.Name] = c
	}
	return c
}

// read gives what the file holds; nil where there is none.
func (a *Authority) read(order Order) (*held, error) {
	path := filepath.Join(a.dir, order.Name+".pem")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	h, err := newHeld(data)
	if err != nil {
		a.logger.Warn("certificate file cannot be read, issuing a new one", "path", path, "error", err)
		return nil, nil
	}
	return h, nil
}

func newHeld(pair []byte) (*held, error) {
	cert, err := tls.X509KeyPair(pair, pair)
	if err != nil {
		return nil, err
	}
	return &held{tls: cert, leaf: cert.Leaf, pair: pair}, nil
}

func (a *Authority) issueLocked(c *Certificate) (*file, error) {
	certPEM, keyPEM, err := c.ca.Issue(c.order.Request, a.leafLife)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.order.Name, err)
	}
	h, err := newHeld(slices.Concat(certPEM, keyPEM))
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.order.Name, err)
	}
	c.current.Store(h)
	return &file{c.order.Name + ".pem", h.pair}, nil
}

// renewAt is when two thirds of a certificate's life are over.
func renewAt(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}

// untilDue is the time until a certificate is to be replaced: none is left also
// where it has not begun, by a clock that was set back.
func untilDue(leaf *x509.Certificate) time.Duration {
	now := time.Now()
	if now.Before(leaf.NotBefore) {
		return 0
	}
	return renewAt(leaf).Sub(now)
}

// Leaf is the certificate in use now; not to be changed.
func (c *Certificate) Leaf() *x509.Certificate { return c.current.Load().leaf }

// PEM is the certificate in use now and its private key.
func (c *Certificate) PEM() (certPEM, keyPEM []byte) {
	h := c.current.Load()
	return encodeCert(h.leaf.Raw), h.pair[len(encodeCert(h.leaf.Raw)):]
}

// ForServer gives the certificate to a TLS server (tls.Config.GetCertificate).
func (c *Certificate) ForServer(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &c.current.Load().tls, nil
}

// ForServerWithCA is ForServer with the authority's certificate in the chain:
// machines that know its fingerprint can trust the server by it.
func (c *Certificate) ForServerWithCA(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	full := c.current.Load().tls
	full.Certificate = append(slices.Clone(full.Certificate), c.ca.cert.Raw)
	return &full, nil
}

// ForClient gives the certificate to a TLS client
// (tls.Config.GetClientCertificate).
func (c *Certificate) ForClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return &c.current.Load().tls, nil
}

// Run renews certificates when two thirds of their life are over, until ctx
// ends. A failed renewal is tried again: a third of the life is left for it.
func (a *Authority) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(a.renewDue())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Renewed tells, to one receiver, that Run has renewed certificates since the
// last receive: whoever wrote their PEM elsewhere writes it again.
func (a *Authority) Renewed() <-chan struct{} { return a.renewed }

// retryRenewal is the pause after a failed renewal, and the longest sleep, so
// that a machine that was suspended catches up.
const retryRenewal = time.Hour

// renewDue renews what is due and returns how long to sleep.
func (a *Authority) renewDue() time.Duration {
	next := retryRenewal
	for _, c := range a.all() {
		left := untilDue(c.Leaf())
		if left <= 0 {
			left = a.renew(c)
		}
		next = min(next, left)
	}
	return next
}

// renew issues a certificate again and returns the time until the next try.
func (a *Authority) renew(c *Certificate) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := a.issueLocked(c)
	if err == nil {
		signal(a.renewed) // it is in use from here on, also if the file cannot be written
		err = writeFiles(a.dir, []file{*f})
	}
	if err != nil {
		a.logger.Error("certificate could not be renewed", "certificate", c.order.Name, "expires", c.Leaf().NotAfter, "error", err)
		return retryRenewal
	}
	a.logger.Info("certificate renewed", "certificate", c.order.Name, "expires", c.Leaf().NotAfter)
	return max(time.Until(renewAt(c.Leaf())), time.Second) // also where the authority's end cuts lives short
}

func (a *Authority) all() []*Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*Certificate, 0, len(a.mu.certificates))
	for _, c := range a.mu.certificates {
		if c.current.Load() != nil {
			out = append(out, c)
		}
	}
	return out
}

func (a *Authority) wake() { signal(a.changed) }

// signal leaves a note in a channel of one place, unless one lies there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
