package ingress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// authority counts what it is asked and gives certificates of a day, unless
// it refuses.
type authority struct {
	mu      sync.Mutex
	asked   []string
	refuses bool
}

func (a *authority) issue(_ context.Context, host string) (*tls.Certificate, error) {
	time.Sleep(time.Second) // of the test's own time
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, host)
	if a.refuses {
		return nil, errNoAuthority
	}
	return &tls.Certificate{Leaf: &x509.Certificate{DNSNames: []string{host}, NotAfter: time.Now().Add(24 * time.Hour)}}, nil
}

func (a *authority) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

func TestCertificatesOfTheClusterAreAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{}
		s := newIssued(a.issue, slog.New(slog.DiscardHandler))
		var clients sync.WaitGroup
		for range 20 {
			clients.Go(func() {
				if s.get(t.Context(), "a.example") == nil {
					t.Error("no certificate")
				}
			})
		}
		clients.Wait()
		if a.count() != 1 {
			t.Errorf("asked %d times for one host", a.count())
		}
		first := s.get(t.Context(), "a.example")
		time.Sleep(15 * time.Hour)
		if s.get(t.Context(), "a.example") != first || a.count() != 1 {
			t.Error("a new certificate after 15 of 24 hours")
		}
		time.Sleep(2 * time.Hour)
		if s.get(t.Context(), "a.example") != first { // and asks meanwhile
			t.Error("clients wait for a renewal")
		}
		time.Sleep(2 * time.Second)
		if s.get(t.Context(), "a.example") == first || a.count() != 2 {
			t.Error("no new certificate in the last third of the old one's life")
		}
		s.retain(Build([]*networkingv1.Ingress{ingressOf("b", rule{"b.example", "/", networkingv1.PathTypePrefix, "web"})}, ourClass()))
		if len(s.by) != 0 {
			t.Error("hosts that nobody names are kept")
		}
	})
}

func TestRefusedCertificatesAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{refuses: true}
		s := newIssued(a.issue, slog.New(slog.DiscardHandler))
		for range 5 {
			if s.get(t.Context(), "a.example") != nil {
				t.Error("a certificate of nobody")
			}
		}
		if a.count() != 1 {
			t.Errorf("asked %d times at once", a.count())
		}
		a.refuses = false
		time.Sleep(issueRetry)
		if s.get(t.Context(), "a.example") == nil {
			t.Error("not asked again")
		}
	})
}

// Whom the cluster's authority is asked for: hosts of Ingresses without a
// certificate of their own, never what a client makes up.
func TestWhichHostsGetACertificateOfTheCluster(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.certs.issued.issue = func(_ context.Context, host string) (*tls.Certificate, error) {
			secret := tlsSecret(t, "cluster "+host)
			cert, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
			return &cert, err
		}
	})
	prefix := networkingv1.PathTypePrefix
	ing := ingressOf("a", rule{"web.example", "/", prefix, "web"}, rule{"*.wild.example", "/", prefix, "web"}, rule{"own.example", "/", prefix, "web"})
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"only.example"}}, {Hosts: []string{"own.example"}, SecretName: "tls"}}
	w.mirror.Put(ing)
	w.mirror.Put(tlsSecret(t, "own"))
	for _, tc := range []struct{ name, want string }{
		{"web.example", "cluster web.example"},
		{"WEB.example", "cluster web.example"},
		{"x.wild.example", "cluster *.wild.example"},
		{"only.example", "cluster only.example"},
		{"own.example", "own"},
		{"x.y.wild.example", "Knarr Ingress, no certificate configured"},
		{"stranger.example", "Knarr Ingress, no certificate configured"},
		{"", "Knarr Ingress, no certificate configured"},
	} {
		c, err := tls.Dial("tcp4", w.secure, &tls.Config{ServerName: tc.name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != tc.want {
			t.Errorf("%q is shown the certificate %q, want %q", tc.name, got, tc.want)
		}
		_ = c.Close()
	}
}
