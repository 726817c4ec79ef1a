package reload

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/kubeconfig"
)

// fixture is a server that answers with the serial number of its client's
// certificate, and the kubeconfig of that client.
type fixture struct {
	*testing.T
	authority *pki.Authority
	server    *httptest.Server
	path      string
	issued    int
	written   int64
}

func start(t *testing.T) *fixture {
	t.Helper()
	machine := pki.Machine{NodeName: "n", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		ServiceAddress: netip.MustParseAddr("10.96.0.1"), ClusterDomain: "cluster.local"}
	authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := authority.Certificates(machine.APIServer())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, authority: authority, path: filepath.Join(t.TempDir(), "kubeconfig")}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.TLS.PeerCertificates[0].SerialNumber)
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	f.server.EnableHTTP2 = true
	own, err := certs[0].ForServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.server.TLS = &tls.Config{Certificates: []tls.Certificate{*own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.ClusterCA().Pool()}
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	return f
}

// issue writes a kubeconfig with a new certificate and returns its serial
// number.
func (f *fixture) issue() string {
	f.Helper()
	f.issued++
	certs, err := f.authority.Certificates(pki.ClientOrder(fmt.Sprint("client-", f.issued), "edge"))
	if err != nil {
		f.Fatal(err)
	}
	cert, key := certs[0].PEM()
	data, err := kubeconfig.Encode(kubeconfig.Build(kubeconfig.Entry{Name: "k", Server: f.server.URL,
		CA: f.authority.ClusterCA().PEM(), Certificate: cert, Key: key}))
	if err != nil {
		f.Fatal(err)
	}
	f.write(data)
	return certs[0].Leaf().SerialNumber.String() + "\n"
}

func (f *fixture) write(data []byte) {
	f.Helper()
	// Of three in one tick of the clock the last could have all that can be seen
	// of the first, its number too.
	f.written++
	next := f.path + ".new"
	if err := errors.Join(os.WriteFile(next, data, 0o600), os.Chtimes(next, time.Time{}, time.Unix(f.written, 0)), os.Rename(next, f.path)); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) client() *http.Client {
	f.Helper()
	config, err := Config(f.path, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.CloseIdleConnections)
	return c
}

// open sends a request and gives its answer's body.
func (f *fixture) open(c *http.Client, path string) io.ReadCloser {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.server.URL+path, nil)
	if err != nil {
		f.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	return res.Body
}

// seen is which certificate the server sees.
func (f *fixture) seen(c *http.Client) string {
	f.Helper()
	body := f.open(c, "/")
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

func TestRequestsUseTheNewestCertificate(t *testing.T) {
	f := start(t)
	first := f.issue()
	c := f.client()
	if got := f.seen(c); got != first {
		t.Fatalf("the server sees %s, want %s", got, first)
	}
	stream := f.open(c, "/stream") // keeps the first connection busy
	defer stream.Close()
	begun := make([]byte, len(first))
	if _, err := io.ReadFull(stream, begun); err != nil || string(begun) != first {
		t.Fatalf("the stream begins with %q, %v", begun, err)
	}
	for range 3 {
		second := f.issue()
		if got := f.seen(c); got != second {
			t.Fatalf("after the renewal the server sees %s, want %s", got, second)
		}
	}
}

func TestBadFilesChangeNothing(t *testing.T) {
	f := start(t)
	first := f.issue()
	c := f.client()
	for what, change := range map[string]func(){
		"no kubeconfig": func() { f.write([]byte("{")) },
		"an empty file": func() { f.write(nil) },
		"no key for its own": func() {
			f.write([]byte("apiVersion: v1\nkind: Config\nusers: [{name: a, user: {client-certificate-data: YQ==}}]\n"))
		},
		"not there": func() {
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if got := f.seen(c); got != first {
			t.Errorf("%s: the server sees %s, want %s", what, got, first)
		}
	}
	if second := f.issue(); f.seen(c) != second {
		t.Error("a good file after bad ones is not used")
	}
}

// A changed file that could not be used for a reason that passes is used later,
// though it does not change again.
func TestWhatFailedIsTriedAgain(t *testing.T) {
	f := start(t)
	first := f.issue()
	config, err := Config(f.path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	config.Transport.(*transport).pause = 0
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	second := f.issue()
	data, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := clientcmd.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca")
	for _, cluster := range whole.Clusters {
		data, cluster.CertificateAuthorityData, cluster.CertificateAuthority = cluster.CertificateAuthorityData, nil, ca
	}
	if err := clientcmd.WriteToFile(*whole, f.path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		t.Fatal(err)
	}
	if got := f.seen(c); got != first {
		t.Errorf("while a file is missing the server sees %s, want %s", got, first)
	}
	if err := os.WriteFile(ca, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.seen(c); got != second {
		t.Errorf("the server sees %s in the end, want %s", got, second)
	}
}

func TestManyRequestsAtOnce(t *testing.T) {
	f := start(t)
	f.issue()
	c := f.client()
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 20 {
				res, err := c.Get(f.server.URL)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
			}
		})
	}
	last := ""
	for range 5 {
		last = f.issue()
	}
	running.Wait()
	if got := f.seen(c); got != last {
		t.Errorf("the server sees %s in the end, want %s", got, last)
	}
}

func TestWithoutAKubeconfig(t *testing.T) {
	if _, err := Config(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a kubeconfig that is not there was read")
	}
}
