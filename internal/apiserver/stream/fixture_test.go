package stream

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/base/pki"
)

// kubelet is a node's API: TLS with a required client certificate, logs, and
// the streaming server of CRI for sessions and port forwarding.
type kubelet struct {
	t *testing.T
	// follow is what a followed log gives out, line by line.
	follow chan string
	// ended is closed when a followed log's or a session's client is gone.
	ended chan struct{}
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const idle, creation = soon, soon
	switch {
	case strings.HasPrefix(r.URL.Path, "/containerLogs/ns/p/c"):
		k.log(w, r)
	case strings.HasPrefix(r.URL.Path, "/exec/ns/p/c"), strings.HasPrefix(r.URL.Path, "/attach/ns/p/c"):
		o, err := remotecommand.NewOptions(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/attach") {
			remotecommand.ServeAttach(w, r, k, "p", "", "c", o, idle, creation, remotecommand.SupportedStreamingProtocols)
			return
		}
		remotecommand.ServeExec(w, r, k, "p", "", "c", r.URL.Query()["command"], o, idle, creation, remotecommand.SupportedStreamingProtocols)
	case r.URL.Path == "/portForward/ns/p":
		o, err := portforward.NewV4Options(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		portforward.ServePortForward(w, r, k, "p", "", o, idle, creation, portforward.SupportedProtocols)
	default:
		fmt.Fprintf(w, "kubelet %s?%s for %s", r.URL.Path, r.URL.RawQuery, r.TLS.PeerCertificates[0].Subject.CommonName)
	}
}

func (k *kubelet) log(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("previous") == "true" {
		http.Error(w, `previous terminated container "c" in pod "p" not found`, http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("follow") != "true" {
		fmt.Fprintf(w, "log %s\n", r.URL.RawQuery)
		return
	}
	defer close(k.ended)
	for {
		select {
		case line := <-k.follow:
			fmt.Fprintln(w, line)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// ExecInContainer understands a few commands.
func (k *kubelet) ExecInContainer(ctx context.Context, _, _, _ string, cmd []string, in io.Reader, out, stderr io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	switch cmd[0] {
	case "cat":
		_, err := io.Copy(out, in)
		return err
	case "fail":
		fmt.Fprint(stderr, "no luck")
		return utilexec.CodeExitError{Err: errors.New("exit status 7"), Code: 7}
	case "size":
		size := <-resize
		fmt.Fprintf(out, "%dx%d", size.Width, size.Height)
		return nil
	case "wait":
		fmt.Fprint(out, "waiting")
		_, err := io.Copy(io.Discard, in) // ends when the connection does
		close(k.ended)
		return err
	}
	return fmt.Errorf("%q: not found", cmd[0])
}

// AttachContainer echoes.
func (k *kubelet) AttachContainer(_ context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	_, err := io.Copy(out, in)
	return err
}

// PortForward answers with the port and echoes.
func (k *kubelet) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	fmt.Fprintf(stream, "port %d\n", port)
	_, err := io.Copy(stream, stream)
	return err
}

// fixture is the API server's side: the handlers behind a plain server.
type fixture struct {
	*authtest.World
	streams *Streams
	node    *kubelet
	url     string
}

func newFixture(t *testing.T, objects ...api.Object) *fixture {
	t.Helper()
	authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	machine := pki.Machine{NodeName: "n1", ServiceAddress: netip.MustParseAddr("10.96.0.1"), ClusterDomain: "cluster.local"}
	certs, err := authority.Certificates(machine.KubeletServing(), pki.KubeletClient())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{node: &kubelet{t: t, follow: make(chan string), ended: make(chan struct{})}}
	serving, err := certs[0].ForServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	node := httptest.NewUnstartedServer(f.node)
	node.TLS = &tls.Config{Certificates: []tls.Certificate{*serving}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.ClusterCA().Pool()}
	node.StartTLS()
	t.Cleanup(node.Close)
	f.World = authtest.New(t, append(objects, nodeAt(t, node.Listener.Addr()),
		pod("p", "n1", corev1.PodRunning, "c"), pod("early", "", corev1.PodPending, "c"), pod("done", "n1", corev1.PodSucceeded, "c"), pod("two", "n1", corev1.PodRunning, "a", "b"))...)
	f.streams, err = New(Config{Kinds: f.Kinds, Objects: f.Objects, ClientCertificate: certs[1].ForClient, NodeCAs: authority.ClusterCA().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.streams.Close)
	f.serve(t)
	return f
}

func nodeAt(t *testing.T, addr net.Addr) *corev1.Node {
	t.Helper()
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n1"}, {Type: corev1.NodeInternalIP, Address: host}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	return node
}

func pod(name, node string, phase corev1.PodPhase, containers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase}}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
	}
	return p
}

// serve answers /RESOURCE/NAME/SUBRESOURCE/... as the request path would.
func (f *fixture) serve(t *testing.T) {
	registry := endpoint.NewRegistry()
	f.streams.Register(registry)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 4)
		c := endpoint.Connection{Request: &request.Request{Namespace: "ns", Name: parts[1], Subresource: parts[2]}}
		if len(parts) == 4 {
			c.Path = "/" + parts[3]
		}
		if item, ok := f.streams.pods.Get("ns", parts[1]); ok && parts[0] == "pods" {
			c.Object = item.Object
		}
		err := registry.ConnectOf(corev1.Resource(parts[0]), parts[2])(w, r, c)
		if err == nil {
			return
		}
		status := apierrors.NewInternalError(err).Status()
		var known apierrors.APIStatus
		if errors.As(err, &known) {
			status = known.Status()
		}
		w.WriteHeader(int(status.Code))
		if err := json.NewEncoder(w).Encode(status); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
}

func (f *fixture) at(path string) *url.URL {
	u, err := url.Parse(f.url + path)
	if err != nil {
		panic(err)
	}
	return u
}

// ask gives the code and the body, or the message of a status.
func (f *fixture) ask(t *testing.T, method, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil && status.Message != "" {
		return response.StatusCode, status.Message
	}
	return response.StatusCode, string(body)
}
