package ingress

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit/await"
)

// Endpoints that speak TLS are verified where somebody said by what, and then
// never reached otherwise.
func TestEndpointsThatSpeakTLS(t *testing.T) {
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Proto, " ", r.TLS != nil) }))
	backend.EnableHTTP2 = true
	backend.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	backend.StartTLS()
	t.Cleanup(backend.Close)
	authority := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "authority", ResourceVersion: "1"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{caKey: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: backend.Certificate().Raw})}}
	other := tlsSecret(t, "other")
	other.Data[caKey] = other.Data[corev1.TLSCertKey]
	const good, bad = "HTTP/2.0 true", "502: the backend broke the connection\n"
	for name, tc := range map[string]struct {
		appProtocol string
		annotations map[string]string
		want        string
	}{
		"annotation":        {"", map[string]string{backendProtocol: "HTTPS"}, good},
		"port":              {"https", nil, good},
		"annotation counts": {"http", map[string]string{backendProtocol: "https"}, good},
		"verified":          {"https", map[string]string{backendCA: "authority", backendName: "example.com"}, good},
		"another name":      {"https", map[string]string{backendCA: "authority"}, bad},
		"another authority": {"https", map[string]string{backendCA: "tls", backendName: "example.com"}, bad},
		"no authority":      {"https", map[string]string{backendCA: "nothing"}, bad},
		"plain to TLS":      {"https", map[string]string{backendProtocol: "http"}, "Client sent an HTTP request to an HTTPS server.\n"},
	} {
		w := serving(t, strings.TrimPrefix(backend.URL, "https://"), tc.annotations)
		w.mirror.Put(authority)
		w.mirror.Put(other)
		svc, _ := w.mirror.Service(targetOf(ingressOf("a"), "", backendRef("web")).Service)
		svc = svc.DeepCopy()
		svc.Spec.Ports[0].AppProtocol = &tc.appProtocol
		w.mirror.Put(svc)
		if _, got := get(t, speaking(w, func(p *http.Protocols) { p.SetHTTP1(true) }), "http://web.example/"); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// lines is a log that can be read meanwhile.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// What is counted and logged of requests, under labels that clients cannot
// make up, and without queries.
func TestRequestsAreCountedAndLogged(t *testing.T) {
	var log lines
	var handler *Handler
	w := serving(t, echo(t), map[string]string{accessLog: "true"}, func(s *Server) {
		s.handler.logger = slog.New(slog.NewTextHandler(&log, nil))
		handler = s.handler
	})
	c := speaking(w, func(p *http.Protocols) { p.SetHTTP1(true) })
	get(t, c, "http://WEB.example/path?secret=1")
	get(t, c, "http://made-up.example/")
	// A handler may end after its client has read the answer.
	shown := func() string {
		rec := httptest.NewRecorder()
		handler.metrics.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		body, _ := io.ReadAll(rec.Result().Body)
		return string(body)
	}
	wanted := map[string]bool{
		`knarr_ingress_requests_total{class="",code="404",host=""} 1`:                true,
		`knarr_ingress_requests_total{class="",code="200",host="web.example"} 1`:     true,
		`knarr_ingress_request_duration_seconds_count{host="web.example"} 1`:         true,
		`knarr_ingress_requests_in_flight 0`:                                         true,
		`knarr_ingress_request_duration_seconds_count{host="made-up.example"} 1`:     false,
		`knarr_ingress_requests_total{class="",code="404",host="made-up.example"} 1`: false,
	}
	await.Success(t, time.Minute, "the metrics and the log tell of it", func() error {
		text := shown()
		for line, want := range wanted {
			if strings.Contains(text, line) != want {
				return fmt.Errorf("%s: %v\n%s", line, !want, text)
			}
		}
		if !strings.Contains(log.text(), "path=/path") || strings.Contains(log.text(), "secret") {
			return errors.New(log.text())
		}
		return nil
	})
	handler.SetRoutes(Build(nil, nil))
	if strings.Contains(shown(), "web.example") {
		t.Error("a host that no Ingress names any longer is still shown")
	}
}
