package peers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const soon = 3 * time.Minute

// The machine with the nodes first and inner, and where inner and its link to
// first are.
const (
	firstAddress = "192.0.2.2"
	innerLink    = "10.245.0.1"
	innerAddress = "10.245.0.2"
)

// station is a node in a namespace, with one pod; both say who they are.
type station struct {
	name, address, pods string
	behind              string
	space, pod          *nettest.Space
	log                 *slog.Logger // of its follower; nil: nobody reads it
}

func (s station) podAddress() string { return strings.Replace(s.pods, ".0/24", ".5", 1) }

// open makes the node's namespace. It answers on every address that it gets.
func (s station) open(t *testing.T) *station {
	t.Helper()
	s.space = nettest.New(t)
	s.space.Node("203.0.113.9") // of no matter: the links bring the node's address
	s.space.Answer(80, s.name)
	s.pod = s.space.Pod(s.podAddress())
	s.pod.Answer(80, "pod of "+s.name)
	return &s
}

// join makes the Node, and keeps the routes of its namespace until the test
// ends.
func (s *station) join(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	s.register(t, c)
	t.Cleanup(s.follow(t, c))
}

// follow keeps the routes of the node's namespace until it is stopped.
func (s *station) follow(t *testing.T, c *testkit.Cluster) (stop func()) {
	t.Helper()
	log := cmp.Or(s.log, slog.New(slog.DiscardHandler))
	all := client.NewInformers(c.Admin, log)
	f := New(Config{Node: s.name, Address: netip.MustParseAddr(s.address), Behind: s.behind, Mode: Auto, Informers: all, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	all.Start(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.space.Try(func() error { return f.Run(ctx) }) }()
	return func() {
		cancel()
		all.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// register makes the Node as its agent does.
func (s *station) register(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: corev1.NodeSpec{PodCIDR: s.pods, PodCIDRs: []string{s.pods}}}
	if s.behind != "" {
		n.Annotations = map[string]string{Behind: s.behind}
	}
	if _, err := client.For[*corev1.Node](c.Admin).Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	s.tell(t, c)
}

// tell writes the node's address into its status.
func (s *station) tell(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	nodes := client.For[*corev1.Node](c.Admin)
	n, err := nodes.Get(t.Context(), "", s.name)
	if err == nil {
		n = n.DeepCopy()
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: s.address}}
		_, err = nodes.UpdateStatus(t.Context(), n)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reaches waits until the node and its pod reach the other node and its pod.
func (s *station) reaches(t *testing.T, o *station) {
	t.Helper()
	for _, from := range []*nettest.Space{s.space, s.pod} {
		for address, want := range map[string]string{o.address: o.name + " ", o.podAddress(): "pod of " + o.name + " "} {
			await.Until(t, soon, fmt.Sprintf("%s or its pod reaches %s", s.name, address), func() bool {
				got, err := from.Probe(address + ":80")
				return err == nil && strings.HasPrefix(got, want)
			})
		}
	}
}

func reachEachOther(t *testing.T, all ...*station) {
	t.Helper()
	for _, from := range all {
		for _, to := range all {
			if from != to {
				from.reaches(t, to)
			}
		}
	}
}

// A machine with a node in a namespace of its own is joined by another one, on
// the same link or from elsewhere. Nodes and pods reach each other both ways,
// through the first node of the machine.
func TestNodesBehindOthers(t *testing.T) {
	for name, lay := range map[string]struct {
		other string
		link  func(*testing.T, *station, *station)
	}{
		"one link":       {"192.0.2.3", oneLink},
		"a router apart": {"198.51.100.2", aRouterApart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
			first := station{name: "first", address: firstAddress, pods: "10.1.1.0/24"}.open(t)
			inner := station{name: "inner", address: innerAddress, pods: "10.1.2.0/24", behind: "first"}.open(t)
			other := station{name: "other", address: lay.other, pods: "10.1.3.0/24"}.open(t)
			lay.link(t, first, other)
			within(t, first, inner)
			inner.join(t, c) // before the one that it is reached by is known
			other.join(t, c)
			first.join(t, c)
			reachEachOther(t, first, inner, other)
			await.Until(t, soon, "the inner node has no tunnel of its own", func() bool { return !hasTunnel(inner.space) })
			if err := client.For[*corev1.Node](c.Admin).Delete(t.Context(), "", "inner", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			await.Until(t, soon, "no way leads to a node that is gone", func() bool {
				return !isRouted(other.space, innerAddress+"/32") && !isRouted(other.space, inner.pods)
			})
			first.reaches(t, other)
		})
	}
}

// oneLink puts two nodes on a link.
func oneLink(t *testing.T, a, b *station) {
	t.Helper()
	wire(t, a.space, a.address, b.space, b.address)
}

// aRouterApart puts a router between two nodes.
func aRouterApart(t *testing.T, a, b *station) {
	t.Helper()
	between := nettest.New(t)
	between.Node("203.0.113.8")
	for _, s := range []*station{a, b} {
		router := s.address[:strings.LastIndex(s.address, ".")] + ".1"
		wire(t, s.space, s.address, between, router)
		gateway(t, s.space, router)
	}
}

// within links a node in a namespace to its first node, as package netspace
// does it, with the first node's rules for what it sends to the world.
func within(t *testing.T, first, inner *station) {
	t.Helper()
	wire(t, first.space, innerLink, inner.space, innerAddress)
	gateway(t, inner.space, innerLink)
	inner.onLinkOf(first.address)
	table, err := ruleset.Open(ruleset.Config{Pods: netip.MustParsePrefix("10.1.0.0/16"), Behind: netip.MustParsePrefix("10.245.0.0/24"), NetNS: first.space.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
}

// onLinkOf tells a node in a namespace where its first node is.
func (s *station) onLinkOf(first string) {
	s.space.Do(func() error {
		link, err := netlink.LinkByName("to102450")
		if err != nil {
			return err
		}
		to := &net.IPNet{IP: net.ParseIP(first).To4(), Mask: net.CIDRMask(32, 32)}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK})
	})
}

// isRouted tells whether a follower has made a route to the network.
func isRouted(s *nettest.Space, network string) bool {
	var routed bool
	s.Do(func() error {
		ranges, err := standing()
		for _, r := range ranges {
			routed = routed || r.String() == network
		}
		return err
	})
	return routed
}
