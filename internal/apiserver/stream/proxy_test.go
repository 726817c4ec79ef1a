package stream

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func checkEcho(t *testing.T, name, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || line != "port 80\n" {
		t.Errorf("%s: %q %v", name, line, err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("%s: %q %v", name, line, err)
	}
}

func TestNodeProxy(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]string{
		"/nodes/n1/proxy/stats/summary?only=cpu": "kubelet /stats/summary?only=cpu for kube-apiserver-kubelet-client",
		"/nodes/n1/proxy/":                       "kubelet /? for kube-apiserver-kubelet-client",
	} {
		if code, got := f.ask(t, http.MethodGet, path); code != 200 || got != want {
			t.Errorf("%s: %d %q", path, code, got)
		}
	}
	for path, want := range map[string]string{
		"/nodes/none/proxy/":         `nodes "none" not found`,
		"/nodes/n1:22/proxy/":        "address not allowed",
		"/nodes/ftp:n1:1/proxy/":     `invalid node request "ftp:n1:1"`,
		"/nodes/n1:99999/proxy/":     `invalid node request "n1:99999"`,
		"/pods/p/proxy/":             "address not allowed",
		"/pods/gone/proxy/":          `pods "gone" not found`,
		"/services/none/proxy/":      `services "none" not found`,
		"/services/http:a:b:c/proxy": `invalid service request "http:a:b:c"`,
	} {
		if code, got := f.ask(t, http.MethodGet, path); code < 400 || got != want {
			t.Errorf("%s: %d %q", path, code, got)
		}
	}
}

func service(ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Spec: corev1.ServiceSpec{Ports: ports}}
}

func slice(address string, ready bool, portName string, port int32) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "ns", Name: "s-" + strings.ReplaceAll(address, ".", "-"), Labels: map[string]string{discoveryv1.LabelServiceName: "s"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: address}}},
		Ports: []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
	}
}

// podAt is the pod that an endpoint with the address names.
func podAt(address string) *corev1.Pod {
	p := pod(address, "n1", corev1.PodRunning, "c")
	p.Status.PodIP, p.Status.PodIPs = address, []corev1.PodIP{{IP: address}}
	return p
}

// Whoever may write slices cannot have the server speak to what is no pod.
func TestOnlyPodsAreEndpoints(t *testing.T) {
	nobody := slice("192.0.2.1", true, "web", 80)
	nobody.Endpoints[0].TargetRef = nil
	stranger := slice("192.0.2.2", true, "web", 80)
	stranger.Endpoints[0].TargetRef.Namespace = "other"
	elsewhere := slice("192.0.2.3", true, "web", 80)
	elsewhere.Endpoints[0].TargetRef.Name = "p"
	gone := slice("192.0.2.4", true, "web", 80)
	f := newFixture(t, service(corev1.ServicePort{Name: "web", Port: 80}), nobody, stranger, elsewhere, gone, podAt("192.0.2.2"))
	if code, got := f.ask(t, http.MethodGet, "/services/s/proxy/"); code != 503 || got != `no endpoints available for service "s"` {
		t.Errorf("%d %q", code, got)
	}
}

func TestServiceEndpoints(t *testing.T) {
	f := newFixture(t, podAt("192.0.2.1"), podAt("192.0.2.2"), podAt("127.0.0.1"), service(corev1.ServicePort{Name: "web", Port: 80}, corev1.ServicePort{Name: "admin", Port: 81}),
		slice("192.0.2.1", true, "web", 8080), slice("192.0.2.2", false, "web", 8080), slice("127.0.0.1", true, "admin", 9))
	item, _ := f.streams.services.Get("ns", "s")
	s := item.Object.(*corev1.Service)
	for range 20 {
		if host, port, err := f.streams.pickEndpoint(s, "web"); err != nil || host != "192.0.2.1" || port != 8080 {
			t.Fatalf("%s:%d %v", host, port, err)
		}
	}
	for path, want := range map[string]string{
		"/services/s:none/proxy/":  `no service port "none" found for service "s"`,
		"/services/s/proxy/":       `no endpoints available for service "s"`,
		"/services/s:admin/proxy/": "address not allowed",
		"/services/s:81/proxy/":    "address not allowed",
	} {
		if code, got := f.ask(t, http.MethodGet, path); code < 400 || got != want {
			t.Errorf("%s: %d %q", path, code, got)
		}
	}
}

func TestTargets(t *testing.T) {
	for id, want := range map[string]string{
		"p": "http://h", "p:80": "http://h:80", "p:web": "http://h:web", "https:p:443": "https://h:443", "https:p:": "https://h", ":p:": "http://h",
	} {
		got, err := parseTarget(id)
		if err != nil || got.name != "p" || got.location("h").String() != want {
			t.Errorf("%q: %+v %v", id, got, err)
		}
	}
	for _, id := range []string{"", ":", "a:b:c:d", "ftp:p:1", "p:0", "p:70000", "p:a b"} {
		if _, err := parseTarget(id); err == nil {
			t.Errorf("%q was taken", id)
		}
	}
	if got := (target{port: "80"}).location("fd00::1").Host; got != "[fd00::1]:80" {
		t.Error(got)
	}
}

func TestProxiedHTTP(t *testing.T) {
	// Pods live at addresses that the proxies may reach: the one of this
	// machine that is not loopback.
	address := ownAddress(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: soon, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials went on")
		}
		w.Header().Set("X-Seen", r.URL.String())
		w.WriteHeader(http.StatusTeapot)
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	p := pod("web", "n1", corev1.PodRunning, "c")
	p.Status.PodIP = address
	f := newFixture(t, p)
	response, err := http.Get(f.url + "/pods/web:" + port + "/proxy/a/b?c=d")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusTeapot || response.Header.Get("X-Seen") != "/a/b?c=d" {
		t.Errorf("%d %s", response.StatusCode, response.Header.Get("X-Seen"))
	}
}

func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback")
	return ""
}
