package outbound_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// world is an API server with one Service that leads to a TLS server.
type world struct {
	api     *apitest.Server
	client  *outbound.Client
	backend *httptest.Server
	ca      []byte
}

func newWorld(t *testing.T, answer http.HandlerFunc) *world {
	t.Helper()
	w := &world{api: apitest.Start(t, nil), backend: httptest.NewTLSServer(answer)}
	t.Cleanup(w.backend.Close)
	w.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.backend.Certificate().Raw})
	client, err := outbound.New(outbound.Config{Kinds: w.api.Catalog, Objects: w.api.Cache})
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	return w
}

func (w *world) create(t *testing.T, obj api.Object) {
	t.Helper()
	if _, err := w.api.Cache.Of(w.api.Catalog.TypeOf(obj)).Create(context.Background(), obj); err != nil {
		t.Fatal(err)
	}
}

func (w *world) service(t *testing.T, ready bool) {
	t.Helper()
	at := netip.MustParseAddrPort(w.backend.Listener.Addr().String())
	name, port := "https", int32(at.Port())
	w.create(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hook"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: name, Port: 443}}}})
	w.create(t, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hook-1", Labels: map[string]string{discoveryv1.LabelServiceName: "hook"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"169.254.169.254"}}, {Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}})
}

func (w *world) post(t *testing.T, target outbound.Target, c outbound.Call) (outbound.Answer, error) {
	t.Helper()
	e, err := w.client.Endpoint(target)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.Post(context.Background(), c)
}

func TestCallsServiceThroughReadyEndpoint(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Host+r.URL.String()+" "+string(body))
	})
	service := &outbound.ServicePort{Namespace: "default", Name: "hook"}
	target := outbound.Target{Service: service, Path: "/a%2Fb", Insecure: true}
	_, err := w.post(t, target, outbound.Call{Limit: 100})
	if !apierrors.IsNotFound(unwrapped(err)) || !strings.Contains(err.Error(), `service "hook" not found`) {
		t.Errorf("call to a missing Service: %v", err)
	}
	w.service(t, true)
	got, err := w.post(t, target, outbound.Call{Body: []byte("hello"), Timeout: 10 * time.Second, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if want := "hook.default.svc:443/a%2Fb?timeout=10s hello"; string(got.Body) != want || got.Status != 200 {
		t.Errorf("answer is %d %q, want %q", got.Status, got.Body, want)
	}
	target.Service = &outbound.ServicePort{Namespace: "default", Name: "hook", Port: 8443}
	_, err = w.post(t, target, outbound.Call{Limit: 100})
	if err == nil || !strings.Contains(err.Error(), `no service port 8443 found for service "hook"`) {
		t.Errorf("call to a missing port: %v", err)
	}
}

func TestUnreadyServiceIsUnavailable(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	w.service(t, false)
	_, err := w.client.Resolve(outbound.ServicePort{Namespace: "default", Name: "hook"})
	if !apierrors.IsServiceUnavailable(err) || err.Error() != `no endpoints available for service "hook"` {
		t.Errorf("resolving a Service without ready endpoints: %v", err)
	}
}

func unwrapped(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.(error)
	}
	return err
}

func TestVerifiesServer(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	if _, err := w.post(t, outbound.Target{URL: w.backend.URL}, outbound.Call{Limit: 9}); err == nil {
		t.Error("a certificate of an unknown authority was taken")
	}
	if _, err := w.post(t, outbound.Target{URL: w.backend.URL, CABundle: w.ca}, outbound.Call{Limit: 9}); err != nil {
		t.Errorf("a certificate of the bundle's authority: %v", err)
	}
	w.service(t, true)
	target := outbound.Target{Service: &outbound.ServicePort{Namespace: "default", Name: "hook"}, CABundle: w.ca}
	if _, err := w.post(t, target, outbound.Call{Limit: 9}); err == nil || !strings.Contains(err.Error(), "hook.default.svc") {
		t.Errorf("a certificate of another name was taken, or refused for another reason: %v", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	hang := make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge":
			for range 1000 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
		case "/hang":
			<-hang
		case "/redirect":
			http.Redirect(w, r, "/huge", http.StatusFound)
		}
	})
	defer close(hang)
	if _, err := w.post(t, outbound.Target{URL: w.backend.URL + "/huge", CABundle: w.ca}, outbound.Call{Limit: 4 << 10}); !errors.Is(err, outbound.ErrTooLarge) {
		t.Errorf("a huge answer ended with %v", err)
	}
	_, err := w.post(t, outbound.Target{URL: w.backend.URL + "/hang", CABundle: w.ca}, outbound.Call{Limit: 9, Timeout: 20 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call to a server that hangs ended with %v", err)
	}
	got, err := w.post(t, outbound.Target{URL: w.backend.URL + "/redirect", CABundle: w.ca}, outbound.Call{Limit: 100})
	if err != nil || got.Status != http.StatusFound {
		t.Errorf("a redirect was answered %v, %v", got.Status, err)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	for _, target := range []outbound.Target{{}, {URL: "http://x"}, {URL: "https://"}, {URL: "https://x", CABundle: []byte("x")}, {URL: "https://%zz"}} {
		if _, err := w.client.Endpoint(target); err == nil {
			t.Errorf("endpoint made for %+v", target)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	dials := 0
	client, err := outbound.New(outbound.Config{Kinds: w.api.Catalog, Objects: w.api.Cache, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := client.Endpoint(outbound.Target{URL: w.backend.URL, CABundle: w.ca, ClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 5 {
		if _, err := e.Post(context.Background(), outbound.Call{Limit: 9}); err != nil {
			t.Fatal(err)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections for five calls", dials)
	}
}
