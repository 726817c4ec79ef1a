package daemonset

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestUpdatesKeepTheirPromise: whatever fails in between, a step of an update
// in place takes no serving pod when as many nodes as allowed do without, one
// that surges starts no more second pods than allowed; and when all is quiet
// every node has exactly one pod, of the present template.
func TestUpdatesKeepTheirPromise(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		w := newWorld()
		for i := range rapid.IntRange(1, 7).Draw(t, "nodes") {
			w.node(fmt.Sprint("n", i))
		}
		surging := rapid.Bool().Draw(t, "surging")
		n, zero := intstr.FromInt32(rapid.Int32Range(1, 3).Draw(t, "most")), intstr.FromInt32(0)
		r := w.ds.Spec.UpdateStrategy.RollingUpdate
		if r.MaxUnavailable, r.MaxSurge = &n, &zero; surging {
			r.MaxUnavailable, r.MaxSurge = &zero, &n
		}
		w.settle("")
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			chance(t, w)
			check(t, w, surging, n.IntValue())
		}
		for name := range w.pods {
			w.change(name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending })
		}
		w.settle("")
		in := w.input()
		for _, node := range in.nodes {
			here := in.pods[node.Name]
			if len(here) != 1 || !current(w.ds, in.hash, here[0]) || !in.available(here[0]) {
				t.Fatalf("at rest %s has %d pods\n%s", node.Name, len(here), w.describe())
			}
		}
		if s := w.ds.Status; s.UpdatedNumberScheduled != s.DesiredNumberScheduled || s.NumberUnavailable != 0 || len(w.nodes) != int(s.DesiredNumberScheduled) {
			t.Fatalf("status at rest: %+v", s)
		}
	})
}

func chance(t *rapid.T, w *world) {
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		w.ds = w.ds.DeepCopy()
		w.ds.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "image")
	case 1:
		w.run(rapid.SampledFrom([]string{"", "v2"}).Draw(t, "broken"))
	case 2:
		w.node(fmt.Sprint("n", rapid.IntRange(0, 7).Draw(t, "node")))
	case 3:
		w.change(fmt.Sprintf("d-%02d", rapid.IntRange(1, w.made+1).Draw(t, "pod")), func(p *corev1.Pod) {
			p.Status.Conditions = nil
		})
	}
}

// check runs the controller and looks at what it did.
func check(t *rapid.T, w *world, surging bool, most int) {
	in := w.input()
	serving := func(node string) (n int) {
		for _, pod := range in.pods[node] {
			if pod.DeletionTimestamp == nil && in.available(pod) {
				n++
			}
		}
		return n
	}
	missing, doubled := 0, 0
	for _, node := range in.nodes {
		if serving(node.Name) == 0 {
			missing++
		}
		if len(in.pods[node.Name]) > 1 {
			doubled++
		}
	}
	did, taken, second := w.reconcile(), 0, 0
	for _, gone := range did.remove {
		if serving(nodeOf(gone.pod)) == 1 && in.available(gone.pod) {
			taken++
		}
	}
	for _, node := range did.create {
		if serving(node) > 0 {
			second++
		}
	}
	if taken > 0 && (surging || missing+taken > most) {
		t.Fatalf("%d nodes lose their serving pod while %d have none, allowed are %d (surging: %t)", taken, missing, most, surging)
	}
	if second > 0 && (!surging || doubled+second > most && second > most) {
		t.Fatalf("%d nodes get a second pod while %d have one, allowed are %d (surging: %t)", second, doubled, most, surging)
	}
}
