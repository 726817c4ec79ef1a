package ingress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/csr"
)

// signer is the cluster's for hosts of Ingresses (package certificates).
const signer = "knarr.io/ingress"

const (
	// issuedLife is how long a certificate of the cluster is asked for.
	issuedLife = 90 * 24 * time.Hour
	// issueTime bounds one request for a certificate, handshakeWait how long a
	// client waits for it: then it sees the spare one.
	issueTime     = 30 * time.Second
	handshakeWait = 5 * time.Second
	// issueRetry is the pause after a request came to nothing.
	issueRetry = 10 * time.Second
	// maxIssuing bounds the requests under way at one time.
	maxIssuing = 8
)

// Issue asks for a certificate of a host; its leaf is parsed.
type Issue func(ctx context.Context, host string) (*tls.Certificate, error)

// AskCluster asks the cluster's authority by a CertificateSigningRequest.
func AskCluster(c *client.Client) Issue {
	return func(ctx context.Context, host string) (*tls.Certificate, error) {
		pair, err := csr.Ask(ctx, c, csr.Order{
			Prefix: "knarr-ingress-", Signer: signer, Purpose: certificatesv1.UsageServerAuth,
			Names: x509.CertificateRequest{DNSNames: []string{host}}, Seconds: int32(issuedLife / time.Second),
		})
		if err != nil {
			return nil, err
		}
		cert, err := tls.X509KeyPair(pair.Certificate, pair.Key)
		return &cert, err
	}
}

// issued holds the certificates that the cluster's authority gave for hosts
// without one of their own, in memory alone. They are asked for when a client
// first wants one, and again when a third of their life is left. It is safe
// for concurrent use.
type issued struct {
	issue  Issue
	logger *slog.Logger
	slots  chan struct{}

	mu sync.Mutex
	by map[string]*hosted
}

// hosted is a host's certificate; nil fields where there is none yet.
type hosted struct {
	cert *tls.Certificate
	// asking is closed when the request under way is over.
	asking chan struct{}
	// next is when to ask again.
	next time.Time
}

func newIssued(issue Issue, logger *slog.Logger) *issued {
	return &issued{issue: issue, logger: logger, slots: make(chan struct{}, maxIssuing), by: map[string]*hosted{}}
}

// get gives the certificate of a host that Ingresses name, nil where none came
// in time.
func (s *issued) get(ctx context.Context, host string) *tls.Certificate {
	now := time.Now()
	s.mu.Lock()
	h := s.by[host]
	if h == nil {
		h = &hosted{}
		s.by[host] = h
	}
	if h.asking == nil && !now.Before(h.next) {
		h.asking = make(chan struct{})
		go s.ask(context.WithoutCancel(ctx), host, h)
	}
	cert, asking := h.cert, h.asking
	s.mu.Unlock()
	if cert != nil && now.Before(cert.Leaf.NotAfter) || asking == nil {
		return cert
	}
	wait := time.NewTimer(handshakeWait)
	defer wait.Stop()
	select {
	case <-asking:
	case <-wait.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.cert
}

// ask gets a certificate for the host and notes what came of it.
func (s *issued) ask(ctx context.Context, host string, h *hosted) {
	ctx, cancel := context.WithTimeout(ctx, issueTime)
	defer cancel()
	cert, err := s.turn(ctx, host)
	if err != nil {
		s.logger.Warn("a host of an Ingress has no certificate, and the cluster gave it none: clients see a self-signed one",
			"host", host, "error", err, "again_after", issueRetry)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err == nil {
		h.cert, h.next = cert, cert.Leaf.NotAfter.Add(-cert.Leaf.NotAfter.Sub(now)/3)
	} else {
		h.next = now.Add(issueRetry)
	}
	close(h.asking)
	h.asking = nil
}

// turn waits until a request may be sent, and sends it.
func (s *issued) turn(ctx context.Context, host string) (*tls.Certificate, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.Join(errors.New("too many requests for certificates are under way"), ctx.Err())
	}
	defer func() { <-s.slots }()
	return s.issue(ctx, host)
}

// retain forgets hosts that no Ingress names any longer.
func (s *issued) retain(r *Routes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for host := range s.by {
		if _, ok := r.names[host]; !ok {
			delete(s.by, host)
		}
	}
}
