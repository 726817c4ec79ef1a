package peers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

func TestPeerOf(t *testing.T) {
	n := &corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"fd00::/64", "10.1.2.7/24", "nonsense"}}}
	if p := PeerOf(n); p.Complete() {
		t.Errorf("a node without an address is complete: %+v", p)
	}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "fd00::1"},
		{Type: corev1.NodeInternalIP, Address: "192.0.2.2"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.3"}}
	if p := PeerOf(n); !p.Equal(peerOf("192.0.2.2", "10.1.2.0/24")) || !p.Complete() {
		t.Errorf("read as %+v", p)
	}
	n.Annotations = map[string]string{Behind: "first"}
	if p := PeerOf(n); p.Behind != "first" || p.Equal(peerOf("192.0.2.2", "10.1.2.0/24")) {
		t.Errorf("a node behind another one is read as %+v", p)
	}
	n.Annotations = map[string]string{simulated.Node: "true"}
	if p := PeerOf(n); p.Complete() {
		t.Errorf("a simulated node is to be reached as %+v", p)
	}
}

// Machine a has the nodes a2 and a3 besides a, machine b has b2 besides b;
// machine c is one node.
func TestHop(t *testing.T) {
	behind := map[string]string{"a2": "a", "a3": "a", "b2": "b"}
	for _, c := range []struct{ self, peer, want string }{
		{"a", "a2", "a2"}, {"a2", "a", "a"}, {"a2", "a3", "a3"}, // one machine
		{"a", "c", "c"}, {"c", "a", "a"}, {"a", "b", "b"},
		{"c", "a2", "a"}, {"a2", "c", "a"}, {"a2", "b", "a"},
		{"a2", "b2", "a"}, {"a", "b2", "b"}, // step by step
	} {
		if got := hop(c.self, behind[c.self], c.peer, behind[c.peer]); got != c.want {
			t.Errorf("from %s to %s by %s, want %s", c.self, c.peer, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		mode   Mode
		shared bool
		want   path
	}{
		{Auto, true, straight}, {Auto, false, tunnel}, {"", false, tunnel}, {Always, true, tunnel}, {Always, false, tunnel},
		{Never, true, straight}, {Never, false, unreached},
	} {
		if got := choose(c.mode, c.shared); got != c.want {
			t.Errorf("mode %q, a link shared %v: %v, want %v", c.mode, c.shared, got, c.want)
		}
	}
}
