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
	n.Annotations = map[string]string{simulated.Node: "true"}
	if p := PeerOf(n); p.Complete() {
		t.Errorf("a simulated node is to be reached as %+v", p)
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
