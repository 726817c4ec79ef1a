package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ControlSocket)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // left by a former edge
		t.Fatal(err)
	}
	m := mirror.New("", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveControl(ctx, path, m, measure.New()) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	ask := func(path string) (int, string) {
		for {
			res, err := client.Get("http://edge" + path)
			if err != nil && ctx.Err() == nil {
				select {
				case err := <-ended:
					t.Fatal(err)
				default:
					continue // it does not listen yet
				}
			}
			if err != nil {
				return 0, err.Error()
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			return res.StatusCode, string(body)
		}
	}
	if code, body := ask("/metrics"); code != http.StatusOK || !strings.Contains(body, "knarr_ingress_requests_in_flight 0") {
		t.Errorf("metrics: %d %s", code, body)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is open to others: %v, %v", info, err)
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
	m.Put(slice)
	left := make(chan int, 1)
	go func() { code, _ := ask("/left?address=10.0.0.1"); left <- code }()
	next := slice.DeepCopy()
	next.Endpoints = nil
	m.Put(next)
	if code := <-left; code != http.StatusNoContent {
		t.Errorf("an address that left: %d", code)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
