package ingress

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serving is a world in which web.example leads to the backend.
func serving(t *testing.T, backend string, annotations map[string]string, change ...func(*Server)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.service("web", backend)
	ing := ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"})
	ing.Annotations = annotations
	w.mirror.Put(ing)
	return w
}

func backendOf(t *testing.T, protocols *http.Protocols, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.Config.Protocols = protocols
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// speaking is a client of one protocol that reaches the world by any name.
func speaking(w *world, set func(*http.Protocols)) *http.Client {
	var p http.Protocols
	set(&p)
	transport := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Dial: func(network, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":443") {
				return net.Dial(network, w.secure)
			}
			return net.Dial(network, w.plain)
		}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// What gRPC needs: HTTP/2 on both sides, messages both ways while the request
// is under way, and trailers; with TLS in front and without.
func TestStreamsOverHTTP2(t *testing.T) {
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	backend := backendOf(t, &h2c, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintf(w, "%s %s\n", r.Proto, lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Grpc-Status", "0")
	})
	w := serving(t, backend, nil)
	svc, _ := w.mirror.Service(targetOf(ingressOf("a"), "", backendRef("web")).Service)
	svc = svc.DeepCopy()
	protocol := "kubernetes.io/h2c"
	svc.Spec.Ports[0].AppProtocol = &protocol
	w.mirror.Put(svc)
	for url, set := range map[string]func(*http.Protocols){
		"https://web.example/x": func(p *http.Protocols) { p.SetHTTP2(true) },
		"http://web.example/x":  func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		in, out := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, in)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(out, "one\n") }()
		res, err := speaking(w, set).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer := bufio.NewReader(res.Body)
		if line, err := answer.ReadString('\n'); line != "HTTP/2.0 one\n" {
			t.Errorf("%s: %q, %v", url, line, err)
		}
		_, _ = io.WriteString(out, "two\n")
		if line, err := answer.ReadString('\n'); line != "HTTP/2.0 two\n" {
			t.Errorf("%s: %q, %v", url, line, err)
		}
		_ = out.Close()
		if _, err := io.ReadAll(answer); err != nil || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: trailer %v, %v", url, res.Trailer, err)
		}
		_ = res.Body.Close()
	}
}

func backendRef(name string) *networkingv1.IngressServiceBackend { return backend(name).Service }

func TestWebSocketsAreHandedThrough(t *testing.T) {
	backend := backendOf(t, nil, func(w http.ResponseWriter, r *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(c, "echo "+line)
	})
	w := serving(t, backend, nil)
	c, r := w.raw("GET /ws HTTP/1.1\r\nHost: web.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.WriteString(c, "hello\n")
	if line, err := r.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// raw sends bytes as they are.
func (w *world) raw(request string) (net.Conn, *bufio.Reader) {
	w.t.Helper()
	c, err := net.Dial("tcp4", w.plain)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		w.t.Fatal(err)
	}
	// Whoever refuses a request may not read all of it.
	_, _ = io.WriteString(c, request)
	return c, bufio.NewReader(c)
}

// Shapes in which two parsers could see different requests, and floods.
func TestBadRequestsDoNotReachTheBackend(t *testing.T) {
	reached := make(chan string, 100)
	backend := backendOf(t, nil, func(_ http.ResponseWriter, r *http.Request) { reached <- r.Method + " " + r.URL.Path })
	w := serving(t, backend, nil)
	const head = "POST /x HTTP/1.1\r\nHost: web.example\r\n"
	for name, tc := range map[string]struct {
		request string
		code    int
	}{
		"two lengths":           {head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400},
		"length that is none":   {head + "Content-Length: +4\r\n\r\nabcd", 400},
		"unknown encoding":      {head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
		"two encodings":         {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501},
		"space before colon":    {head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
		"line break in a name":  {head + "A\rB: c\r\n\r\n", 400},
		"two hosts":             {head + "Host: other.example\r\n\r\n", 400},
		"no host":               {"GET / HTTP/1.1\r\n\r\n", 400},
		"chunk of a wrong size": {"POST /begun HTTP/1.1\r\nHost: web.example\r\n" + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 0},
		"header flood":          {head + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100) + "\r\n", 431},
		"long URL":              {"GET /" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: web.example\r\n\r\n", 431},
	} {
		_, r := w.raw(tc.request)
		res, err := http.ReadResponse(r, nil)
		if tc.code != 0 && (err != nil || res.StatusCode != tc.code) {
			t.Errorf("%s: %v, %v; want %d", name, res, err, tc.code)
		}
		if tc.code == 0 && err == nil && res.StatusCode < 400 {
			t.Errorf("%s: %v", name, res.Status)
		}
	}
	for len(reached) > 0 {
		// What is wrong only behind its head may have got there, whenever that was.
		if got := <-reached; got != "POST /begun" {
			t.Errorf("the backend got %s", got)
		}
	}
}

// A length beside chunks is dropped, so that the backend sees one framing.
func TestLengthBesideChunksIsNotPassedOn(t *testing.T) {
	seen := make(chan *http.Request, 1)
	backend := backendOf(t, nil, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); seen <- r })
	w := serving(t, backend, nil)
	_, r := w.raw("POST /x HTTP/1.1\r\nHost: web.example\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	if got := <-seen; got.ContentLength != -1 || len(got.TransferEncoding) != 1 {
		t.Errorf("length %d, encoding %v", got.ContentLength, got.TransferEncoding)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	w := serving(t, echo(t), nil, func(s *Server) { s.headerTime = 50 * time.Millisecond })
	_, r := w.raw("GET / HTTP/1.1\r\nHost: web.exa")
	if b, err := r.ReadByte(); err == nil && b != 'H' { // a 408, or nothing
		t.Errorf("got %q", b)
	} else if err != nil && err != io.EOF {
		t.Errorf("the connection stays open: %v", err)
	}
}

func TestRulesOfAnIngress(t *testing.T) {
	backend := backendOf(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	})
	http1 := func(p *http.Protocols) { p.SetHTTP1(true) }
	sized := speaking(serving(t, backend, map[string]string{maxBody: "10"}), http1)
	timed := speaking(serving(t, backend, map[string]string{timeLimit: "100ms"}), http1)
	for _, tc := range []struct {
		client *http.Client
		path   string
		body   io.Reader
		want   int
	}{
		{sized, "/", strings.NewReader("0123456789"), 200},
		{sized, "/", strings.NewReader("0123456789x"), 413},
		{sized, "/", struct{ io.Reader }{strings.NewReader("0123456789x")}, 413}, // of a length that is not told
		{timed, "/slow", nil, 504},
	} {
		res, err := tc.client.Post("http://web.example"+tc.path, "text/plain", tc.body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", tc.path, res.StatusCode, tc.want)
		}
	}
	w := serving(t, backend, map[string]string{forceHTTPS: "true"})
	c := speaking(w, http1)
	_, port, _ := net.SplitHostPort(w.secure)
	res, _ := get(t, c, "http://web.example/a?b=c")
	if at := res.Header.Get("Location"); res.StatusCode != http.StatusPermanentRedirect || at != "https://web.example:"+port+"/a?b=c" {
		t.Errorf("%d to %q", res.StatusCode, at)
	}
	if res, _ := get(t, c, "https://web.example/a"); res.StatusCode != http.StatusOK {
		t.Errorf("by TLS: %s", res.Status)
	}
}

// A certificate that cannot be used is as good as none; one that is merely
// not valid is shown, since it is the client who judges.
func TestCertificatesThatAreNoGood(t *testing.T) {
	w := newWorld(t)
	ing := ingressOf("a", rule{"web.example", "/", networkingv1.PathTypePrefix, "web"})
	ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"web.example"}, SecretName: "tls"}}
	w.mirror.Put(ing)
	shown := func() string {
		c, err := tls.Dial("tcp4", w.secure, &tls.Config{ServerName: "web.example", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	good, other := tlsSecret(t, "good"), tlsSecret(t, "other")
	mixed := good.DeepCopy()
	mixed.ResourceVersion, mixed.Data[corev1.TLSPrivateKeyKey] = "mixed", other.Data[corev1.TLSPrivateKeyKey]
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "tls", ResourceVersion: "empty"}, Type: corev1.SecretTypeTLS}
	for _, tc := range []struct {
		secret *corev1.Secret
		want   string
	}{
		{good, "good"}, // made for no host at all
		{mixed, "Knarr Ingress, no certificate configured"},
		{empty, "Knarr Ingress, no certificate configured"},
		{tlsSecretUntil(t, "expired", time.Now().Add(-time.Hour)), "expired"},
		{other, "other"},
	} {
		w.mirror.Put(tc.secret)
		if got := shown(); got != tc.want {
			t.Errorf("the certificate is %q, want %q", got, tc.want)
		}
	}
}

// A Service of type ExternalName may lead to the Ingress itself: requests for
// it end instead of going round.
func TestRequestsThatComeBackEnd(t *testing.T) {
	w := serving(t, echo(t), nil)
	host, text, _ := net.SplitHostPort(w.plain)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	w.mirror.Put(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "loop"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeExternalName, ExternalName: host, Ports: []corev1.ServicePort{{Port: int32(port)}}}})
	ing := ingressOf("loop")
	loop := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "loop", Port: networkingv1.ServiceBackendPort{Number: int32(port)}}}
	ing.Spec.DefaultBackend = &loop
	w.mirror.Put(ing)
	c := speaking(w, func(p *http.Protocols) { p.SetHTTP1(true) })
	if res, body := get(t, c, "http://loop.example/"); res.StatusCode != http.StatusLoopDetected {
		t.Errorf("%s %s", res.Status, body)
	}
	if res, _ := get(t, c, "http://web.example/"); res.StatusCode != http.StatusOK {
		t.Errorf("another Service: %s", res.Status)
	}
}

// A header flood by HTTP/2, whose frames are bounded together.
func TestHeaderFloodByHTTP2(t *testing.T) {
	w := serving(t, echo(t), nil)
	c := speaking(w, func(p *http.Protocols) { p.SetHTTP2(true) })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://web.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		req.Header.Set(fmt.Sprintf("X-%d", i), strings.Repeat("a", 100))
	}
	if res, err := c.Do(req); err == nil {
		_ = res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s", res.Status)
		}
	}
	if res, _ := get(t, c, "https://web.example/"); res.StatusCode != http.StatusOK {
		t.Errorf("others: %s", res.Status)
	}
}

// An answer whose length is known and that takes its time is not held back.
func TestSlowAnswersFlow(t *testing.T) {
	more := make(chan struct{})
	backend := backendOf(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, " last")
	})
	w := serving(t, backend, nil)
	res, err := speaking(w, func(p *http.Protocols) { p.SetHTTP1(true) }).Get("http://web.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != " last" {
		t.Errorf("%q, %v", rest, err)
	}
}
