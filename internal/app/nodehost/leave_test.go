package nodehost

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/peers"
	"github.com/knarr-io/knarr/internal/network/proxy"
	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const soon = time.Minute

// gate is a node's table of rules, whose changes can be held up.
type gate struct {
	mu      sync.Mutex
	closed  chan struct{} // while it is, changes wait for it
	waiting bool
}

func (g *gate) Current() (ruleset.Standing, error) { return ruleset.Standing{}, nil }

func (g *gate) Apply(ruleset.Change) error {
	g.mu.Lock()
	closed := g.closed
	g.waiting = closed != nil
	g.mu.Unlock()
	if closed != nil {
		<-closed
	}
	return nil
}

func (g *gate) hold() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	closed := make(chan struct{})
	g.closed = closed
	return func() {
		g.mu.Lock()
		g.closed = nil
		g.mu.Unlock()
		close(closed)
	}
}

func (g *gate) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

// hostOf is the part of a node that pods leave by, without a kernel.
func hostOf(t *testing.T, c *testkit.Cluster, name string, table proxy.Table) *Host {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := New(Config{Settings: local.Settings{NodeName: name, DataDir: filepath.Join(t.TempDir(), name)}, Logger: log, Peers: http.DefaultTransport})
	all, own := client.NewInformers(c.Admin, log), client.NewInformers(c.Admin, log)
	h.proxy = proxy.New(proxy.Config{Node: name, Informers: all, Pods: own, Table: table, Logger: log})
	h.peers = peers.New(peers.Config{Node: name, Informers: all, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	all.Start(ctx)
	own.Start(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.proxy.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		all.Wait()
		own.Wait()
		<-ended
	})
	wait, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	if err := h.proxy.WaitSynced(wait); err != nil {
		t.Fatal(err)
	}
	return h
}

// nodeAt makes a Node whose agent answers at the server.
func nodeAt(t *testing.T, c *testkit.Cluster, name string, ready bool, at *httptest.Server) {
	t.Helper()
	where := netip.MustParseAddrPort(strings.TrimPrefix(at.URL, "https://"))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: where.Addr().String()}}
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(where.Port())
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	nodes := client.For[*corev1.Node](c.Admin)
	made, err := nodes.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	made = made.DeepCopy()
	made.Status = n.Status
	if _, err := nodes.UpdateStatus(t.Context(), made); err != nil {
		t.Fatal(err)
	}
}

// An endpoint of the first node leaves: its pod may be stopped when the other
// node has said that its rules no longer lead there, not before; nodes that
// cannot be asked are given their time.
func TestPodsEndWhenEveryNodeHasLetGo(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	table := &gate{}
	first, second := hostOf(t, c, "n1", &gate{}), hostOf(t, c, "n2", table)
	asked := make(chan string, 10)
	agent := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("address")
		second.peerHandler().ServeHTTP(w, r)
	}))
	t.Cleanup(agent.Close)
	first.cfg.Peers, first.silence = agent.Client().Transport, soon // this machine may be slow, and lives
	nodeAt(t, c, "n2", true, agent)
	nodeAt(t, c, "dead", false, agent)

	svc, err := client.For[*corev1.Service](c.Admin).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
	if err != nil {
		t.Fatal(err)
	}
	port, name := int32(80), ""
	slices := client.For[*discoveryv1.EndpointSlice](c.Admin)
	slice, err := slices.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.5"}}, {Addresses: []string{"10.1.0.6"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	leaving := netip.MustParseAddr("10.1.0.5")
	pods := []corev1.PodIP{{IP: leaving.String()}}
	for _, h := range []*Host{first, second} { // both lead there, as they must before it leaves
		await.Until(t, soon, "the rules lead to the endpoint", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			return h.proxy.WaitRemoved(ctx, leaving) != nil
		})
	}
	await.Until(t, soon, "the first node knows the others", func() bool {
		others := first.peers.Others()
		return len(others) == 2 && (others[0].Ready || others[1].Ready)
	})
	release := table.hold()
	slice = slice.DeepCopy()
	slice.Endpoints = slice.Endpoints[1:]
	if _, err := slices.Update(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- first.beforeStop(t.Context(), &corev1.Pod{Status: corev1.PodStatus{PodIPs: pods}}) }()
	if got := <-asked; got != leaving.String() {
		t.Errorf("the other node was asked for %q", got)
	}
	await.Until(t, soon, "the other node changes its rules", table.holds)
	if len(stopped) > 0 {
		t.Error("the pod may stop while another node's rules lead to it")
	}
	release()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(asked) > 0 {
		t.Error("a node that is not ready was asked")
	}
	// A pod of no Service waits for nobody.
	other := []corev1.PodIP{{IP: "10.1.0.9"}}
	if err := first.beforeStop(t.Context(), &corev1.Pod{Status: corev1.PodStatus{PodIPs: other}}); err != nil || len(asked) > 0 {
		t.Errorf("a pod of no Service: %v, %d questions", err, len(asked))
	}
}

// A node that hangs, though it is said to be ready, holds up no pod of another
// one for longer than a node that cannot be asked.
func TestNodesThatHangHoldNobodyUp(t *testing.T) {
	h := New(Config{Logger: slog.New(slog.DiscardHandler)})
	release := make(chan struct{})
	agent := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(agent.Close)
	t.Cleanup(func() { close(release) })
	h.cfg.Peers = agent.Client().Transport
	at := netip.MustParseAddrPort(strings.TrimPrefix(agent.URL, "https://"))
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if h.asked(ctx, peers.Other{Name: "n2", Agent: at, Ready: true}, netip.MustParseAddr("10.1.0.5")) {
		t.Error("a node that hangs has said that the address left")
	}
	if ctx.Err() != nil {
		t.Error("it was waited for as long as the pod's end may be held up")
	}
}

func TestStrangersQuestionsAreRefused(t *testing.T) {
	h := New(Config{Logger: slog.New(slog.DiscardHandler)})
	for _, query := range []string{"", "?address=", "?address=../../x"} {
		rec := httptest.NewRecorder()
		h.peerHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, leftPath+query, nil))
		if rec.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", query, rec.Code)
		}
	}
}

func TestMetricsOfAnEdgeThatIsAway(t *testing.T) {
	rec := httptest.NewRecorder()
	newEdgeClient(filepath.Join(t.TempDir(), "none")).metrics().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics/edge", nil))
	if rec.Code != http.StatusBadGateway {
		t.Errorf("code %d", rec.Code)
	}
}
