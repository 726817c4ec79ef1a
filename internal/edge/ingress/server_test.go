package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// errNoAuthority: nobody gives certificates here.
var errNoAuthority = errors.New("no authority")

// world is a served mirror, filled through its informer handlers' own door.
type world struct {
	t             *testing.T
	mirror        *mirror.Mirror
	plain, secure string
}

func newWorld(t *testing.T, change ...func(*Server)) *world {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	m := mirror.New(t.TempDir()+"/names.json", logger)
	s, err := NewServer(m, func(context.Context, string) (*tls.Certificate, error) { return nil, errNoAuthority }, measure.New(), logger)
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range change {
		fn(s)
	}
	listen := func() net.Listener {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	plain, secure := listen(), listen()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, []net.Listener{plain}, []net.Listener{secure}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, c := range ourClass() {
		m.Put(c)
	}
	return &world{t: t, mirror: m, plain: plain.Addr().String(), secure: secure.Addr().String()}
}

// service declares a Service whose endpoints are the addresses.
func (w *world) service(name string, addresses ...string) {
	w.t.Helper()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.9",
		Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	w.mirror.Put(svc)
	for i, address := range addresses {
		ap := netip.MustParseAddrPort(address)
		port, portName := int32(ap.Port()), "http"
		w.mirror.Put(&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("%s-%d", name, i), Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			Ports:      []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{ap.Addr().String()}}},
		})
	}
}

func (w *world) get(host, path string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.plain+path, strings.NewReader("hello"))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

// echo answers with what it was asked.
func echo(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s%s %s from %s", r.Host, r.URL.Path, body, r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Addresses where nobody listens: the kernel gives port 1 to nobody by chance.
const refusing, refusingToo = "127.0.0.1:1", "127.0.0.2:1"

func TestRequestsReachTheBackend(t *testing.T) {
	w := newWorld(t)
	w.service("web", echo(t))
	w.service("empty")
	w.service("broken", refusing)
	w.mirror.Put(ingressOf("a",
		rule{"web.example", "/", networkingv1.PathTypePrefix, "web"},
		rule{"empty.example", "/", networkingv1.PathTypePrefix, "empty"},
		rule{"broken.example", "/", networkingv1.PathTypePrefix, "broken"}))
	for _, tc := range []struct {
		host string
		code int
		body string
	}{
		{"web.example", 200, "web.example/x hello from 127.0.0.1"},
		{"web.example:8443", 200, "web.example:8443/x hello from 127.0.0.1"},
		{"nobody.example", 404, "404: no Ingress rule matches this host and path"},
		{"empty.example", 503, "503: the Service has no endpoint that is ready"},
		{"broken.example", 503, "503: the Service has no endpoint that is ready"},
	} {
		if code, body := w.get(tc.host, "/x"); code != tc.code || body != tc.body {
			t.Errorf("%s: %d %q, want %d %q", tc.host, code, body, tc.code, tc.body)
		}
	}
}

// A request whose time is over is told so, not that nobody is there.
func TestTimeIsOverBeforeAnEndpointIsReached(t *testing.T) {
	w := newWorld(t)
	w.service("web", echo(t))
	ing := ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"})
	ing.Annotations = map[string]string{timeLimit: "1ns"}
	w.mirror.Put(ing)
	if code, body := w.get("web.example", "/"); code != http.StatusGatewayTimeout {
		t.Errorf("%d %s", code, body)
	}
}

// The backend gets the query that the client sent, whatever is in it.
func TestQueriesArePassedOnAsTheyAre(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RawQuery) }))
	t.Cleanup(backend.Close)
	w := newWorld(t)
	w.service("web", strings.TrimPrefix(backend.URL, "http://"))
	w.mirror.Put(ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"}))
	for _, query := range []string{"b=2&a=1", "b=2;c&a=1", "b=100%&a=1", "a=1&&"} {
		if code, body := w.get("web.example", "/?"+query); code != http.StatusOK || body != query {
			t.Errorf("%s: %d %q", query, code, body)
		}
	}
}

func TestRefusedConnectionIsTriedElsewhere(t *testing.T) {
	w := newWorld(t)
	w.service("web", echo(t), refusing, refusingToo)
	w.mirror.Put(ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"}))
	for range 20 {
		if code, body := w.get("web.example", "/"); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
	}
}

func TestTLSWithASecretThatChanges(t *testing.T) {
	w := newWorld(t)
	w.service("web", echo(t))
	ing := ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"})
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"web.example"}, SecretName: "tls"}}
	w.mirror.Put(ing)
	subject := func() string {
		c, err := tls.Dial("tcp4", w.secure, &tls.Config{ServerName: "web.example", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := subject(); !strings.Contains(got, "no certificate configured") {
		t.Errorf("without its Secret the spare certificate is shown, got %q", got)
	}
	for _, name := range []string{"first", "second"} {
		w.mirror.Put(tlsSecret(t, name))
		if got := subject(); got != name {
			t.Errorf("the certificate is %q, want %q", got, name)
		}
	}
}

// Who names a host that no Ingress has sees the certificate for every host.
func TestTLSForEveryHost(t *testing.T) {
	w := newWorld(t)
	w.service("web", echo(t))
	ing := ingressOf("a", rule{"", "/", networkingv1.PathTypePrefix, "web"})
	ing.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "tls"}}
	w.mirror.Put(ing)
	w.mirror.Put(tlsSecret(t, "every"))
	for _, name := range []string{"nobody.example", ""} {
		c, err := tls.Dial("tcp4", w.secure, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "every" {
			t.Errorf("%q: the certificate is %q", name, got)
		}
		_ = c.Close()
	}
}

// Requests go on while routes, endpoints and Services change under them.
func TestChangesDropNoRequest(t *testing.T) {
	w := newWorld(t)
	a, b := echo(t), echo(t)
	w.service("web", a)
	w.service("other", b)
	ingress := func(n int) *networkingv1.Ingress {
		ing := ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, []string{"web", "other"}[n%2]}, rule{fmt.Sprintf("%d.example", n), "/", networkingv1.PathTypePrefix, "web"})
		ing.Annotations = map[string]string{maxBody: fmt.Sprint(1000 + n)}
		return ing
	}
	w.mirror.Put(ingress(0))
	var clients sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for asked := 0; ; asked++ {
				select {
				case <-done:
					if asked > 0 {
						return
					}
				default:
				}
				if code, body := w.get("web.example", "/x"); code != http.StatusOK || !strings.HasPrefix(body, "web.example/x hello") {
					t.Errorf("%d %s", code, body)
					return
				}
			}
		})
	}
	for n := range 300 {
		w.mirror.Put(ingress(n))
		w.service("web", []string{a, b}[n%2])
		w.service("other", []string{b, a}[n%2])
	}
	close(done)
	clients.Wait()
}
