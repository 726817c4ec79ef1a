package test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Names of registries that nobody but the proxy knows, and the address of one
// that is not to be asked by way of it.
const (
	plainName  = "plain.example.test"
	secureName = "secure.example.test"
	nearName   = "192.0.2.1:5000"
)

// proxy is a forward proxy that has a registry in place of the world.
type proxy struct {
	registry http.Handler
	secure   string // where the registry is reached by TLS

	mu    sync.Mutex
	asked []string
}

func (p *proxy) saw(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.asked, host)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	switch {
	case r.Method != http.MethodConnect:
		p.registry.ServeHTTP(w, r)
	case r.Host == secureName+":443":
		p.tunnel(w)
	default:
		w.WriteHeader(http.StatusBadGateway)
	}
}

func (p *proxy) tunnel(w http.ResponseWriter) {
	to, err := net.Dial("tcp", p.secure)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, to)
}

// serve answers on an address of the node.
func (n *node) serve(address string, h http.Handler) {
	n.t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	n.inNet(func() (err error) { srv.Listener, err = net.Listen("tcp", address); return err })
	srv.Start()
	n.t.Cleanup(srv.Close)
}

// Images come by the proxies of the environment, from plain registries and by
// TLS, and directly where NO_PROXY says so.
func TestPullByProxy(t *testing.T) {
	const at = "127.0.0.1:3128"
	n := newNode(t, func(n *node) {
		hosts := map[string]any{plainName: map[string]any{"plainHTTP": true}, nearName: map[string]any{"plainHTTP": true}, secureName: map[string]any{"insecureSkipVerify": true}}
		body, err := json.Marshal(map[string]any{"registries": map[string]any{"hosts": hosts}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(n.path("config.json"), body, 0o600); err != nil {
			t.Fatal(err)
		}
		n.settings = []string{"--config", n.path("config.json")}
		n.env = []string{"HTTP_PROXY=http://" + at, "https_proxy=http://" + at, "NO_PROXY=192.0.2.0/24"}
	})
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open, secure := httptest.NewServer(inner), httptest.NewTLSServer(inner)
	t.Cleanup(open.Close)
	t.Cleanup(secure.Close)
	p := &proxy{registry: inner, secure: secure.Listener.Addr().String()}
	n.serve(at, p)
	n.serve(nearName, inner)
	to, err := name.ParseReference(strings.TrimPrefix(open.URL, "http://") + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, workloadImage(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, asked string }{
		{plainName, "GET " + plainName}, {secureName, "CONNECT " + secureName + ":443"}, {nearName, ""},
	} {
		resp, err := n.images.PullImage(n.ctx(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: c.host + "/team/app:1"}})
		if err != nil {
			t.Fatal(err)
		}
		if c.asked != "" && !p.saw(c.asked) {
			t.Errorf("%s was not asked by way of the proxy, which saw %v", c.host, p.asked)
		}
		n.must(n.images.RemoveImage(n.ctx(), &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: resp.GetImageRef()}}))
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodConnect} {
		if p.saw(fmt.Sprintf("%s %s", method, nearName)) {
			t.Errorf("%s was asked by way of the proxy", nearName)
		}
	}
}
