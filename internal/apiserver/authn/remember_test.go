package authn

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestRemembering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		roots := x509.NewCertPool()
		m := newRemembering(authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
			asked++
			ok := r.TLS != nil && string(r.TLS.PeerCertificates[0].Raw) != "bad"
			return &authenticator.Response{User: &user.DefaultInfo{Name: "u"}}, ok, nil
		}), func() *x509.CertPool { return roots })
		leaf := &x509.Certificate{Raw: []byte("good"), NotAfter: time.Now().Add(time.Minute)}
		long := &x509.Certificate{Raw: []byte("long"), NotAfter: time.Now().Add(time.Hour)}
		bad := &x509.Certificate{Raw: []byte("bad"), NotAfter: time.Now().Add(time.Hour)}
		for _, step := range []struct {
			what  string
			certs []*x509.Certificate
			after time.Duration
			want  int
		}{
			{"first", []*x509.Certificate{leaf}, 0, 1}, {"again", []*x509.Certificate{leaf}, time.Second, 1},
			{"expired", []*x509.Certificate{leaf}, time.Minute, 2},
			{"another", []*x509.Certificate{long}, 0, 3}, {"still known", []*x509.Certificate{long}, rememberFor - time.Second, 3},
			{"long ago", []*x509.Certificate{long}, 2 * time.Second, 4},
			{"refused", []*x509.Certificate{bad}, 0, 5}, {"refused again", []*x509.Certificate{bad}, 0, 6},
			{"a chain", []*x509.Certificate{long, bad}, 0, 7}, {"the chain again", []*x509.Certificate{long, bad}, 0, 8},
		} {
			time.Sleep(step.after)
			if _, _, err := m.AuthenticateRequest(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: step.certs}}); err != nil {
				t.Fatal(err)
			}
			if asked != step.want {
				t.Errorf("%s: verified %d times, want %d", step.what, asked, step.want)
			}
		}
		long.NotAfter = time.Now() // it has passed while the machine slept
		if _, _, err := m.AuthenticateRequest(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{long}}}); err != nil || asked != 9 {
			t.Errorf("after a sleep: verified %d times, %v", asked, err)
		}
		long.NotAfter = time.Now().Add(time.Hour)
		roots = x509.NewCertPool()
		if _, _, err := m.AuthenticateRequest(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{long}}}); err != nil || asked != 10 {
			t.Errorf("other roots: verified %d times, %v", asked, err)
		}
		for i := range 2 * rememberMost {
			m.put([32]byte{byte(i), byte(i >> 8)}, accepted{})
		}
		if len(m.known) > rememberMost {
			t.Errorf("%d are remembered", len(m.known))
		}
	})
}
