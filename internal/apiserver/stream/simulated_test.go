package stream

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

// Nobody waits for a connection to an address that was made up.
func TestSimulatedNodesSayWhatTheyAre(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "played", Annotations: map[string]string{simulated.Node: "true"}}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.18.0.1"}}
	p := pod("sim", "played", corev1.PodRunning, "c")
	p.Status.PodIP = "100.64.0.1"
	f := newFixture(t, node, p)
	const want = `node "played" is simulated: no container of its pods runs, so that there are no logs, and nothing that can be reached`
	for _, path := range []string{"/pods/sim/log", "/pods/sim/exec?command=ls", "/pods/sim/attach", "/pods/sim/portforward", "/pods/sim/proxy/", "/nodes/played/proxy/"} {
		if code, got := f.ask(t, http.MethodGet, path); code != http.StatusBadRequest || got != want {
			t.Errorf("%s: %d %q", path, code, got)
		}
	}
}
