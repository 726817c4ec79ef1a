package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var machine = Machine{
	NodeName: "ship", Names: []string{"ship.example.org"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")},
	ServiceAddress: netip.MustParseAddr("10.96.0.1"), ClusterDomain: "cluster.local",
}

func orders() []Order {
	return []Order{machine.APIServer(), machine.KubeletServing(), machine.NodeClient(), KubeletClient(), FrontProxyClient(), Admin()}
}

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := Open(Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certificates(t *testing.T, a *Authority, orders ...Order) []*Certificate {
	t.Helper()
	out, err := a.Certificates(orders...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilesSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	first := open(t, dir)
	before := certificates(t, first, orders()...)
	second := open(t, dir)
	after := certificates(t, second, orders()...)
	for i := range before {
		if !before[i].Leaf().Equal(after[i].Leaf()) {
			t.Errorf("%s was issued again", orders()[i].Name)
		}
	}
	if !first.ServiceAccountKey().Equal(second.ServiceAccountKey()) || !first.ClusterCA().cert.Equal(second.ClusterCA().cert) {
		t.Error("roots were made again")
	}
	checkModes(t, dir)
}

func checkModes(t *testing.T, dir string) {
	t.Helper()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
		names = append(names, e.Name())
	}
	want := []string{"admin.pem", "apiserver-kubelet-client.pem", "apiserver.pem", "ca.pem", "front-proxy-ca.pem",
		"front-proxy-client.pem", "kubelet-serving.pem", "node-client.pem", "service-account.pem"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestAChangedOrderIsIssuedAgain(t *testing.T) {
	a := open(t, t.TempDir())
	old := certificates(t, a, machine.APIServer())[0].Leaf()
	moved := machine
	moved.Addresses = append([]netip.Addr{netip.MustParseAddr("192.0.2.9")}, machine.Addresses...)
	now := certificates(t, a, moved.APIServer())[0].Leaf()
	if now.Equal(old) || now.VerifyHostname("192.0.2.9") != nil {
		t.Error("the new address is not in the certificate")
	}
	if same := certificates(t, a, machine.APIServer())[0].Leaf(); !same.Equal(now) {
		t.Error("fewer addresses need no new certificate")
	}
}

// A machine's clock may be set back, or start behind after a power cut: what it
// takes for a certificate of the future nobody on it would believe.
func TestACertificateThatHasNotBegunIsIssuedAgain(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := *certificates(t, a, Admin())[0].Leaf()
	template.NotBefore = time.Now().Add(time.Hour)
	early, err := sign(&template, a.cluster.cert, &key.PublicKey, a.cluster.key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := encodePair(early, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "admin.pem"), pair, 0o600); err != nil {
		t.Fatal(err)
	}
	if now := certificates(t, open(t, dir), Admin())[0].Leaf(); now.NotBefore.After(time.Now()) {
		t.Errorf("after a start it begins %s", now.NotBefore)
	}

	c := certificates(t, a, Admin())[0] // which runs while the clock is set back
	held, err := newHeld(pair)
	if err != nil {
		t.Fatal(err)
	}
	c.current.Store(held)
	if a.renewDue(); c.Leaf().NotBefore.After(time.Now()) {
		t.Errorf("in a process that runs it begins %s", c.Leaf().NotBefore)
	}
}

func TestHandshake(t *testing.T) {
	a := open(t, t.TempDir())
	certs := certificates(t, a, machine.APIServer(), Admin())
	server := &tls.Config{GetCertificate: certs[0].ForServer, ClientCAs: a.ClusterCA().Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	for _, name := range []string{"127.0.0.1", "10.96.0.1", "kubernetes.default.svc.cluster.local", "ship", "192.0.2.7"} {
		client := &tls.Config{GetClientCertificate: certs[1].ForClient, RootCAs: a.ClusterCA().Pool(), ServerName: name}
		peer := handshake(t, server, client)
		if peer.Subject.CommonName != "kubernetes-admin" || peer.Subject.Organization[0] != "system:masters" {
			t.Errorf("client is %v", peer.Subject)
		}
	}
}

func handshake(t *testing.T, server, client *tls.Config) *x509.Certificate {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	result := make(chan error, 1)
	go func() { result <- tls.Client(far, client).HandshakeContext(t.Context()) }()
	conn := tls.Server(near, server)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0]
}

func TestRenewsWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, err := Open(Options{Dir: dir, LeafLife: 90 * time.Minute, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		c := certificates(t, a, Admin())[0]
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		for range 5 {
			old := c.Leaf()
			time.Sleep(time.Until(renewAt(old)) + time.Second)
			synctest.Wait()
			if c.Leaf().Equal(old) {
				t.Fatal("not renewed when two thirds of its life were over")
			}
			select {
			case <-a.Renewed():
			default:
				t.Fatal("nobody is told of the renewal")
			}
			if old.NotAfter.Before(time.Now()) {
				t.Fatal("the old one expired before it was replaced")
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "admin.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if cert, _, err := parsePair(data); err != nil || !cert.Equal(c.Leaf()) {
			t.Errorf("the file does not hold the newest: %v", err)
		}
	})
}

func TestExpiredFileIsReplacedAtStart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		old := certificates(t, open(t, dir), Admin())[0].Leaf()
		time.Sleep(2 * 365 * 24 * time.Hour)
		c := certificates(t, open(t, dir), Admin())[0]
		if c.Leaf().Equal(old) || c.Leaf().NotAfter.Before(time.Now()) {
			t.Error("an expired certificate is in use")
		}
	})
}

func TestBrokenRootsAreRefusedAndKept(t *testing.T) {
	for _, name := range []string{clusterCAFile, serviceAccount} {
		dir := t.TempDir()
		open(t, dir)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
		if data, _ := os.ReadFile(path); string(data) != "torn" {
			t.Errorf("%s was overwritten", name)
		}
	}
}

func TestTornLeafIsIssuedAgain(t *testing.T) {
	dir := t.TempDir()
	certificates(t, open(t, dir), Admin())
	if err := os.WriteFile(filepath.Join(dir, "admin.pem"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := certificates(t, open(t, dir), Admin())[0]; c.Leaf().Subject.CommonName != "kubernetes-admin" {
		t.Error("no certificate")
	}
}

func TestCertificateOfAnotherAuthorityIsReplaced(t *testing.T) {
	dir := t.TempDir()
	old := certificates(t, open(t, dir), Admin())[0].Leaf()
	if err := os.Remove(filepath.Join(dir, clusterCAFile)); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	c := certificates(t, a, Admin())[0]
	if c.Leaf().Equal(old) || c.Leaf().CheckSignatureFrom(a.ClusterCA().Certificate()) != nil {
		t.Error("the certificate is not of the new authority")
	}
}

func TestStatusAndNames(t *testing.T) {
	a := open(t, t.TempDir())
	certificates(t, a, Admin(), KubeletClient())
	var names []string
	for _, s := range a.Status() {
		names = append(names, s.Name)
		if s.Expires.Before(time.Now().Add(300 * 24 * time.Hour)) {
			t.Errorf("%s expires %v", s.Name, s.Expires)
		}
	}
	if diff := cmp.Diff([]string{"ca", "front-proxy-ca", "admin", "apiserver-kubelet-client"}, names); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "../x", ".hidden", "a/b"} {
		if _, err := a.Certificates(ClientOrder(bad, "u")); err == nil {
			t.Errorf("name %q was taken", bad)
		}
	}
}

func BenchmarkFirstStart(b *testing.B) {
	for b.Loop() {
		a, err := Open(Options{Dir: b.TempDir(), Orders: orders(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := a.Certificates(orders()...); err != nil {
			b.Fatal(err)
		}
	}
}
