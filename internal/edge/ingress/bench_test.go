package ingress

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// BenchmarkRequest is what one request costs, with its client and its backend.
func BenchmarkRequest(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page\n") }))
	defer backend.Close()
	m := mirror.New("", slog.New(slog.DiscardHandler))
	h := newHandler(newBackends(m), measure.New(), slog.New(slog.DiscardHandler))
	h.SetRoutes(Build([]*networkingv1.Ingress{ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"})}, ourClass()))
	at := netip.MustParseAddrPort(strings.TrimPrefix(backend.URL, "http://"))
	port, name := int32(at.Port()), ""
	m.Put(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
	m.Put(&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}}}})
	front := httptest.NewServer(h)
	defer front.Close()
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, front.URL, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Host = "web.example"
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}
