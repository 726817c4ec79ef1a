package aggregation_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/aggregation"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const (
	services = "/apis/apiregistration.k8s.io/v1/apiservices"
	list     = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"ext.example.com/v1","resources":[{"name":"things","singularName":"thing","namespaced":true,"kind":"Thing","verbs":["get","list"]}]}`
)

// world is an API server with an aggregator, and a server to aggregate.
type world struct {
	*apitest.Server
	found   *discovery.Handler
	backend *httptest.Server
	down    atomic.Bool
}

func newWorld(t *testing.T, answer http.HandlerFunc) *world {
	t.Helper()
	w := &world{}
	w.backend = httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch {
		case w.down.Load():
			http.Error(out, "out of order", http.StatusInternalServerError)
		case r.URL.Path == "/apis/ext.example.com/v1":
			_, _ = io.WriteString(out, list)
		case r.URL.Path == "/openapi/v3/apis/ext.example.com/v1":
			_, _ = io.WriteString(out, `{"openapi":"3.0.0","info":{"title":"ext"},"paths":{"/apis/ext.example.com/v1/things":{}},"components":{"schemas":{"com.example.ext.Thing":{"type":"object"}}}}`)
		default:
			answer(out, r)
		}
	}))
	w.backend.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	w.backend.StartTLS()
	t.Cleanup(w.backend.Close)
	var agg *aggregation.Aggregator
	w.Server = apitest.Start(t, func(c *apiserver.Config) {
		client, err := outbound.New(outbound.Config{Kinds: c.Catalog, Objects: c.Cache})
		check(t, err)
		w.found = discovery.New(c.Catalog, "127.0.0.1:6443")
		c.Handlers["/apis"], c.Handlers["/apis/"] = w.found, w.found
		docs, err := openapi.New()
		check(t, err)
		c.Handlers["/openapi/"] = docs
		agg, err = aggregation.New(aggregation.Config{Own: []aggregation.Own{own()}, Kinds: c.Catalog, Objects: c.Cache, Client: client, Discovery: w.found, Documents: docs,
			Certificate: frontProxy(t)})
		check(t, err)
		c.Aggregated = agg.Route
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agg.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the aggregator ended with %v", err)
		}
	})
	return w
}

// frontProxy makes the certificate by which other servers know that it is the
// aggregator who tells them of users.
func frontProxy(t *testing.T) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	t.Helper()
	authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	certificates, err := authority.Certificates(pki.ClientOrder("proxy", "front-proxy"))
	check(t, err)
	return certificates[0].ForClient
}

// own is a group that this server answers until somebody else does.
func own() aggregation.Own {
	return aggregation.Own{
		GroupVersion: schema.GroupVersion{Group: "own.example.com", Version: "v1"}, Priority: 100,
		Resources: []metav1.APIResource{{Name: "things", Kind: "Thing", Verbs: []string{"get"}}},
		Handler:   http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "ours") }),
		Document: openapi.Extra{
			Name: "apis/own.example.com/v1", Tag: "1",
			V3: func() (*spec3.OpenAPI, error) { return &spec3.OpenAPI{Version: "3.0.0"}, nil },
			V2: func() (*spec.Swagger, error) {
				return &spec.Swagger{SwaggerProps: spec.SwaggerProps{Paths: &spec.Paths{}}}, nil
			},
		},
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) put(t *testing.T, obj api.Object) {
	t.Helper()
	_, err := w.Cache.Of(w.Catalog.TypeOf(obj)).Create(context.Background(), obj)
	check(t, err)
}

// service makes the Service that leads to the backend.
func (w *world) service(t *testing.T) {
	t.Helper()
	at := netip.MustParseAddrPort(w.backend.Listener.Addr().String())
	port := int32(at.Port())
	name := ""
	w.put(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ext"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}})
	w.put(t, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ext-1", Labels: map[string]string{discoveryv1.LabelServiceName: "ext"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}}}})
}

func (w *world) register(t *testing.T, trust string) {
	t.Helper()
	code, _, body := w.Do(t, http.MethodPost, services, fmt.Sprintf(`{"metadata":{"name":"v1.ext.example.com"},"spec":{"group":"ext.example.com","version":"v1",
		"groupPriorityMinimum":2000,"versionPriority":10,%s,"service":{"namespace":"default","name":"ext"}}}`, trust), "Content-Type", "application/json")
	if code != http.StatusCreated {
		t.Fatalf("registering is answered %d: %s", code, body)
	}
}

// await waits for a condition of the APIService.
func (w *world) await(t *testing.T, status registration.ConditionStatus, reason string) string {
	t.Helper()
	return eventually(t, func() (string, bool) {
		code, _, body := w.Do(t, http.MethodGet, services+"/v1.ext.example.com", "")
		var s registration.APIService
		if code != http.StatusOK || json.Unmarshal(body, &s) != nil || len(s.Status.Conditions) == 0 {
			return string(body), false
		}
		c := s.Status.Conditions[0]
		return c.Message, c.Status == status && c.Reason == reason
	})
}

func eventually(t *testing.T, fn func() (string, bool)) (got string) {
	t.Helper()
	await.Success(t, time.Minute, "another answer", func() error {
		var ok bool
		if got, ok = fn(); !ok {
			return errors.New(got)
		}
		return nil
	})
	return got
}

func TestPassesRequestsOn(t *testing.T) {
	w := newWorld(t, func(out http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var by []string
		for _, c := range r.TLS.PeerCertificates {
			by = append(by, c.Subject.CommonName)
		}
		_, _ = fmt.Fprintf(out, "%s %s %s %v by %v %q %s", r.Method, r.URL, r.Header.Get("X-Remote-User"), r.Header["X-Remote-Group"], by, r.Header.Get("Authorization"), body)
	})
	w.register(t, `"insecureSkipTLSVerify":true`)
	if got := w.await(t, "False", "ServiceNotFound"); got != `service/ext in "default" is not present` {
		t.Errorf("message is %q", got)
	}
	code, _, body := w.Do(t, http.MethodGet, "/apis/ext.example.com/v1/things", "")
	if code != http.StatusServiceUnavailable || string(body) != "service unavailable\n" {
		t.Errorf("answer of a gone server is %d %q", code, body)
	}
	w.service(t)
	w.await(t, "True", "Passed")
	_, _, body = w.Do(t, http.MethodPost, "/apis/ext.example.com/v1/namespaces/n/things?x=y", "hello", "X-Remote-User", "mallory", "X-Remote-Group", "evil")
	if want := `POST /apis/ext.example.com/v1/namespaces/n/things?x=y admin [system:masters] by [front-proxy] "" hello`; string(body) != want {
		t.Errorf("the server saw %s, want %s", body, want)
	}
}

func TestVerifiesTheServer(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	w.service(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.backend.Certificate().Raw})
	w.register(t, fmt.Sprintf(`"caBundle":%q`, base64.StdEncoding.EncodeToString(ca)))
	if got := w.await(t, "False", "FailedDiscoveryCheck"); !strings.Contains(got, "ext.default.svc") {
		t.Errorf("message is %q", got)
	}
}

func TestDiscoveryShowsTheGroup(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	w.service(t)
	w.register(t, `"insecureSkipTLSVerify":true`)
	w.await(t, "True", "Passed")
	aggregated := func() string {
		_, _, body := w.Do(t, http.MethodGet, "/apis", "", "Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		return string(body)
	}
	eventually(t, func() (string, bool) { // the condition may be seen a moment before the group is
		all := aggregated()
		return all, strings.Contains(all, `"resource":"things"`)
	})
	if _, _, body := w.Do(t, http.MethodGet, "/apis/ext.example.com/v1", ""); string(body) != list {
		t.Errorf("the version's resources are %s", body)
	}
	if code, _, body := w.Do(t, http.MethodGet, "/apis/ext.example.com", ""); code != http.StatusOK || !strings.Contains(string(body), `"groupVersion":"ext.example.com/v1"`) {
		t.Errorf("the group is %d %s", code, body)
	}
	eventually(t, func() (string, bool) { // which comes after the group
		_, _, body := w.Do(t, http.MethodGet, "/openapi/v3/apis/ext.example.com/v1", "")
		return string(body), strings.Contains(string(body), "com.example.ext.Thing")
	})
	w.down.Store(true)
	item, _ := w.Cache.Of(w.Catalog.TypeOf(&corev1.Service{})).Get("default", "ext")
	_, err := w.Cache.Of(w.Catalog.TypeOf(&corev1.Service{})).Update(context.Background(), item, labelled(item.Object))
	check(t, err)
	w.await(t, "False", "FailedDiscoveryCheck")
	eventually(t, func() (string, bool) {
		all := aggregated()
		return all, strings.Contains(all, `"freshness":"Stale"`) && strings.Contains(all, `"resource":"things"`)
	})
	if code, _, _ := w.Do(t, http.MethodGet, "/api/v1/namespaces", ""); code != http.StatusOK {
		t.Errorf("another group answers %d", code)
	}
	code, _, _ := w.Do(t, http.MethodDelete, services+"/v1.ext.example.com", "")
	if code != http.StatusOK {
		t.Errorf("deleting is answered %d", code)
	}
	eventually(t, func() (string, bool) {
		all := aggregated()
		return all, !strings.Contains(all, "ext.example.com")
	})
}

func labelled(obj api.Object) api.Object {
	out := obj.DeepCopyObject().(api.Object)
	out.SetLabels(map[string]string{"looked": "at"})
	return out
}

func TestUpgrades(t *testing.T) {
	w := newWorld(t, func(out http.ResponseWriter, r *http.Request) {
		conn, buffered, err := out.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(conn, r.Header.Get("X-Remote-User")+" said "+line)
	})
	w.service(t)
	w.register(t, `"insecureSkipTLSVerify":true`)
	w.await(t, "True", "Passed")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	check(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /apis/ext.example.com/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", apitest.Token)
	check(t, err)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	check(t, err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade is answered %d", resp.StatusCode)
	}
	_, err = io.WriteString(conn, "hello\n")
	check(t, err)
	if line, err := in.ReadString('\n'); err != nil || line != "admin said hello\n" {
		t.Errorf("echo is %q, %v", line, err)
	}
}

func TestRegistersItsOwnGroups(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) {})
	get := func(name string) (s registration.APIService, code int) {
		code, _, body := w.Do(t, http.MethodGet, services+"/"+name, "")
		_ = json.Unmarshal(body, &s)
		return s, code
	}
	for name, want := range map[string]registration.APIServiceSpec{
		"v1.":            {Version: "v1", GroupPriorityMinimum: 18000, VersionPriority: 1},
		"v1.apps":        {Group: "apps", Version: "v1", GroupPriorityMinimum: 17800, VersionPriority: 15},
		"v2.autoscaling": {Group: "autoscaling", Version: "v2", GroupPriorityMinimum: 17500, VersionPriority: 30},
	} {
		eventually(t, func() (string, bool) {
			s, code := get(name)
			return fmt.Sprintf("%s: %d %+v", name, code, s.Spec), code == http.StatusOK && s.Spec.GroupPriorityMinimum == want.GroupPriorityMinimum &&
				s.Spec.VersionPriority == want.VersionPriority && s.Status.Conditions[0].Reason == "Local"
		})
	}
	if code, _, _ := w.Do(t, http.MethodDelete, services+"/v1.apps", ""); code != http.StatusOK {
		t.Errorf("deleting is answered %d", code)
	}
	eventually(t, func() (string, bool) {
		_, code := get("v1.apps")
		return fmt.Sprint(code), code == http.StatusOK
	})
}

func TestOwnGroupsYield(t *testing.T) {
	w := newWorld(t, func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "theirs") })
	w.service(t)
	answer := func() string {
		_, _, body := w.Do(t, http.MethodGet, "/apis/own.example.com/v1/things", "")
		return string(body)
	}
	shown := func() int {
		for _, g := range w.found.Groups() {
			if g.Name == "own.example.com" {
				return len(g.Versions[0].Resources)
			}
		}
		return -1
	}
	want := func(body string, resources int) {
		t.Helper()
		eventually(t, func() (string, bool) {
			return fmt.Sprint(answer(), shown()), answer() == body && shown() == resources
		})
	}
	want("ours", 1)
	if code, _, body := w.Do(t, http.MethodGet, services+"/v1.own.example.com", ""); code != http.StatusNotFound {
		t.Errorf("an APIService stands in the way of others: %d %s", code, body)
	}
	code, _, body := w.Do(t, http.MethodPost, services, `{"metadata":{"name":"v1.own.example.com"},"spec":{"group":"own.example.com","version":"v1",
		"groupPriorityMinimum":100,"versionPriority":100,"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"ext"}}}`, "Content-Type", "application/json")
	if code != http.StatusCreated {
		t.Fatalf("registering is answered %d: %s", code, body)
	}
	eventually(t, func() (string, bool) { return answer(), strings.TrimSpace(answer()) != "ours" })
	if code, _, body := w.Do(t, http.MethodDelete, services+"/v1.own.example.com", ""); code != http.StatusOK {
		t.Fatalf("removing is answered %d: %s", code, body)
	}
	want("ours", 1)
}
