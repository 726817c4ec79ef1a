package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestHealthCheckNodePort(t *testing.T) {
	h := newHealthPorts(slog.New(slog.DiscardHandler))
	var address string
	h.listen = func(uint16) (net.Listener, error) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err == nil {
			address = l.Addr().String()
		}
		return l, err
	}
	t.Cleanup(func() { h.stop(t.Context()) })
	svc := balanced()
	svc.Spec.ExternalTrafficPolicy, svc.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 32000
	me, elsewhere := owner{namespace: "ns", name: "web"}, endpoint(podB, true)
	other := "n2"
	elsewhere.NodeName = &other
	ask := func(endpoints ...discoveryv1.Endpoint) (int, string, map[string]any) {
		t.Helper()
		h.set(map[owner]Health{me: RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, endpoints)}, Place{Node: "n1"}).Health})
		res, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var parsed map[string]any
		if err := json.Unmarshal(body, &parsed); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return res.StatusCode, res.Header.Get("X-Load-Balancing-Endpoint-Weight"), parsed
	}
	code, weight, body := ask(endpoint(podA, true), elsewhere)
	want := map[string]any{"service": map[string]any{"namespace": "ns", "name": "web"}, "localEndpoints": 1.0, "serviceProxyHealthy": true}
	if diff := cmp.Diff(want, body); diff != "" || code != http.StatusOK || weight != "1" {
		t.Errorf("%d, weight %s (-want +got):\n%s", code, weight, diff)
	}
	// A pod that ends takes what it gets, but is no reason to send more here.
	if code, weight, _ := ask(ending(podA), elsewhere); code != http.StatusServiceUnavailable || weight != "0" {
		t.Errorf("%d, weight %s", code, weight)
	}
	h.set(map[owner]Health{me: {}})
	if _, err := http.Get("http://" + address); err == nil {
		t.Error("the port answers after it was taken back")
	}
}

// A port goes from one Service to another in one step.
func TestHealthCheckNodePortsChangeHands(t *testing.T) {
	h := newHealthPorts(slog.New(slog.DiscardHandler))
	addresses := map[uint16]string{}
	h.listen = func(port uint16) (net.Listener, error) {
		address := "127.0.0.1:0"
		if addresses[port] != "" {
			address = addresses[port]
		}
		l, err := net.Listen("tcp4", address)
		if err == nil {
			addresses[port] = l.Addr().String()
		}
		return l, err
	}
	t.Cleanup(func() { h.stop(t.Context()) })
	const ports = 8
	named := func(i int) owner { return owner{namespace: "ns", name: fmt.Sprint(i % ports)} }
	for turn := range 3 {
		wants := map[owner]Health{}
		for i := range ports {
			wants[named(i+turn)] = Health{Port: uint16(i + 1)}
		}
		h.set(wants)
		if len(h.served) != ports {
			t.Fatalf("turn %d: %d ports are served, want %d", turn, len(h.served), ports)
		}
	}
}

func TestHints(t *testing.T) {
	zones := func(e discoveryv1.Endpoint, names ...string) discoveryv1.Endpoint {
		e.Hints = &discoveryv1.EndpointHints{}
		for _, n := range names {
			e.Hints.ForZones = append(e.Hints.ForZones, discoveryv1.ForZone{Name: n})
		}
		return e
	}
	nodes := func(e discoveryv1.Endpoint, name string) discoveryv1.Endpoint {
		e.Hints.ForNodes = []discoveryv1.ForNode{{Name: name}}
		return e
	}
	a, b := endpoint(podA, true), endpoint(podB, true)
	for _, tc := range []struct {
		name      string
		here      Place
		endpoints []discoveryv1.Endpoint
		want      []string
	}{
		{"none", Place{"n1", "east"}, []discoveryv1.Endpoint{a, b}, []string{podA, podB}},
		{"zone", Place{"n1", "east"}, []discoveryv1.Endpoint{zones(a, "east"), zones(b, "west")}, []string{podA}},
		{"another zone", Place{"n1", "north"}, []discoveryv1.Endpoint{zones(a, "east"), zones(b, "west")}, []string{podA, podB}},
		{"no zone", Place{"n1", ""}, []discoveryv1.Endpoint{zones(a, "east"), zones(b, "west")}, []string{podA, podB}},
		{"one without", Place{"n1", "east"}, []discoveryv1.Endpoint{zones(a, "east"), b}, []string{podA, podB}},
		{"node before zone", Place{"n2", "east"}, []discoveryv1.Endpoint{nodes(zones(a, "east"), "n1"), nodes(zones(b, "east"), "n2")}, []string{podB}},
		{"no such node", Place{"n3", "east"}, []discoveryv1.Endpoint{nodes(zones(a, "east"), "n1"), nodes(zones(b, "west"), "n2")}, []string{podA}},
		{"the near one ends", Place{"n1", "east"}, []discoveryv1.Endpoint{zones(ending(podA), "east"), zones(b, "west")}, []string{podB}},
	} {
		svc := service()
		targets, _, _ := endpointsOf([]*discoveryv1.EndpointSlice{sliceOf(svc, tc.endpoints)}, &svc.Spec.Ports[0], tc.here)
		var got []string
		for _, target := range targets {
			got = append(got, target.Addr.String())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
