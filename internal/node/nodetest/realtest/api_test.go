package realtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"

	"github.com/knarr-io/knarr/internal/api/request"
)

// lenient allows what is asked in reviews and passes everything else on.
type lenient struct{ request.Transport }

func (l lenient) Do(ctx context.Context, req *request.Request) (runtime.Object, error) {
	if review, ok := req.Object.(*authorizationv1.SubjectAccessReview); ok {
		out := review.DeepCopy()
		out.Status.Allowed = true
		return out, nil
	}
	return l.Transport.Do(ctx, req)
}

// credentials are a serving certificate that is also a caller's, and the pool
// of its authority (itself).
func credentials(t testing.TB) (tls.Certificate, *x509.CertPool, rest.TLSClientConfig) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver-kubelet-client"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool,
		rest.TLSClientConfig{CAData: certPEM, CertData: certPEM, KeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})}
}

func (m *machine) url(path string, query url.Values) *url.URL {
	return &url.URL{Scheme: "https", Host: m.api, Path: path, RawQuery: query.Encode()}
}

func (m *machine) logsOf(ctx context.Context, pod string, query url.Values) io.ReadCloser {
	m.t.Helper()
	transport, err := rest.TransportFor(&rest.Config{TLSClientConfig: m.tls})
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url("/containerLogs/default/"+pod+"/app", query).String(), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		m.t.Fatalf("logs: %s %s", resp.Status, body)
	}
	return resp.Body
}

func TestLogsOverTheAPI(t *testing.T) {
	m := newMachine(t)
	shared := t.TempDir()
	// The first run ends when the test follows it; the second stays.
	m.create(pod("a", `[ -e /host/go ] && exec sleep 1000
i=0; while [ $i -lt 50 ]; do
	i=$((i+1)); echo line $i; sleep 0.01
	[ $i -lt 25 ] || until [ -e /host/go ]; do sleep 0.1; done
done`, shareFolder(shared)))
	m.await("a", "has started", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].ContainerID != ""
	})
	body := m.logsOf(t.Context(), "a", url.Values{"follow": {"true"}})
	defer body.Close()
	followed := bufio.NewReader(body)
	first, err := followed.ReadString('\n')
	if err != nil || first != "line 1\n" {
		t.Fatalf("the first line: %q, %v", first, err)
	}
	if err := os.WriteFile(filepath.Join(shared, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	others, err := io.ReadAll(followed) // ends with the container
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(others)), "\n"); len(lines) != 49 || lines[48] != "line 50" {
		t.Errorf("%d further lines: %q", len(lines), others)
	}
	m.eventually("the first run is the previous one", func() bool {
		p, err := m.pods.Get(t.Context(), "default", "a")
		return err == nil && p.Status.ContainerStatuses[0].RestartCount == 1
	})
	previous := m.logsOf(t.Context(), "a", url.Values{"previous": {"true"}, "tailLines": {"2"}})
	defer previous.Close()
	if got, err := io.ReadAll(previous); err != nil || string(got) != "line 49\nline 50\n" {
		t.Errorf("previous: %q, %v", got, err)
	}
}

func TestExecOverTheAPI(t *testing.T) {
	m := newMachine(t)
	m.create(pod("a", "exec sleep 1000"))
	m.await("a", "is ready", ready)
	at := m.url("/exec/default/a/app", url.Values{"command": {"/bin/sh", "-c", "cat; echo err >&2; exit 4"}, "input": {"1"}, "output": {"1"}, "error": {"1"}})
	cfg := &rest.Config{TLSClientConfig: m.tls}
	exec, err := remotecommand.NewSPDYExecutor(cfg, http.MethodPost, at)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	err = exec.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("through"), Stdout: &out, Stderr: &errOut})
	if out.String() != "through" || errOut.String() != "err\n" || err == nil || !strings.Contains(err.Error(), "exit code 4") {
		t.Errorf("%q %q %v", out.String(), errOut.String(), err)
	}
}

func TestExecByWebSocket(t *testing.T) {
	m := newMachine(t)
	m.create(pod("a", "exec sleep 1000"))
	m.await("a", "is ready", ready)
	at := m.url("/exec/default/a/app", url.Values{"command": {"/bin/echo", "hello"}, "output": {"1"}})
	at.Scheme = "wss"
	cfg, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: m.tls})
	if err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{TLSClientConfig: cfg, Subprotocols: []string{"v4.channel.k8s.io"}}
	conn, resp, err := dialer.DialContext(t.Context(), at.String(), nil)
	if err != nil {
		t.Fatalf("%v: %+v", err, resp)
	}
	defer conn.Close()
	var out []byte
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			break
		}
		if len(data) > 0 && data[0] == 1 { // standard output
			out = append(out, data[1:]...)
		}
	}
	if string(out) != "hello\n" {
		t.Errorf("got %q", out)
	}
}

func TestPortForwardOverTheAPI(t *testing.T) {
	m := newMachine(t)
	m.create(pod("a", "echo hello > /tmp/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp", func(p *corev1.Pod) {
		// A forward to a port that nobody listens on yet ends the client's session.
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/index.html"}}},
			PeriodSeconds: 1, FailureThreshold: 1, SuccessThreshold: 1, TimeoutSeconds: 60,
		}
	}))
	m.await("a", "is ready", ready)
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{TLSClientConfig: m.tls})
	if err != nil {
		t.Fatal(err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, m.url("/portForward/default/a", nil))
	stop, up := make(chan struct{}), make(chan struct{})
	defer close(stop)
	forward, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:8080"}, stop, up, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- forward.ForwardPorts() }()
	select {
	case <-up:
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(within):
		t.Fatal("no port forward")
	}
	ports, err := forward.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	m.eventually("the page comes through", func() bool {
		resp, err := http.Get("http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local))) + "/index.html")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && string(body) == "hello\n"
	})
}
