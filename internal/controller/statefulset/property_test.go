package statefulset

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestOrderAndIdentity: whatever happens to pods in whatever order, however
// far the view lags behind, a set never asks for a pod of a name that it sees,
// an ordered set does one thing at a time and in order, and a rolling update
// takes no pod that serves while as many as allowed are missing. When all is
// quiet there is exactly one pod per ordinal, of the template of the set.
func TestOrderAndIdentity(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Int32Range(0, 6).Draw(t, "replicas"))
		if rapid.Bool().Draw(t, "parallel") {
			w.set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		}
		if rapid.Bool().Draw(t, "several") {
			n := intstr.FromInt32(rapid.Int32Range(1, 3).Draw(t, "unavailable"))
			w.set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &n
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			step(t, w)
		}
		for ordinal, pod := range w.pods { // what went wrong for good ends
			if pod.Status.Phase == corev1.PodRunning && len(pod.Status.Conditions) == 0 {
				w.ready(ordinal)
			}
		}
		w.settle()
		image := w.set.Spec.Template.Spec.Containers[0].Image
		if len(w.pods) != replicas(w.set) {
			t.Fatalf("at rest there are %d pods, want %d", len(w.pods), replicas(w.set))
		}
		for ordinal, pod := range w.pods {
			if !inRange(w.set, ordinal) || pod.Spec.Containers[0].Image != image || pod.DeletionTimestamp != nil {
				t.Fatalf("at rest there is %s of %s", pod.Name, pod.Spec.Containers[0].Image)
			}
		}
		s, n := w.set.Status, int32(replicas(w.set))
		if s.Replicas != n || s.AvailableReplicas != n || s.UpdatedReplicas != n || s.CurrentRevision != image || s.UpdateRevision != image {
			t.Fatalf("status at rest: %+v", s)
		}
	})
}

func step(t *rapid.T, w *world) {
	ordinal := rapid.IntRange(0, 6).Draw(t, "ordinal")
	switch rapid.IntRange(0, 10).Draw(t, "what") {
	case 0:
		w.edit(func(set *appsv1.StatefulSet) {
			set.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "image")
		})
	case 1:
		n := rapid.Int32Range(0, 6).Draw(t, "scale")
		w.edit(func(set *appsv1.StatefulSet) { set.Spec.Replicas = &n })
	case 2:
		w.unready(ordinal)
	case 3:
		w.change(ordinal, func(p *corev1.Pod) { p.Status.Phase, p.Status.Conditions = corev1.PodFailed, nil })
	case 4:
		w.gone(ordinal)
	case 5, 6:
		w.see(ordinal)
	case 7:
		w.ready(ordinal)
	case 8: // all is well: an update may begin
		for ordinal := range 7 {
			w.ready(ordinal)
			w.see(ordinal)
		}
	default:
		check(t, w)
	}
}

// check runs the controller and looks at what it wants to do.
func check(t *rapid.T, w *world) {
	ordered := w.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
	in := w.input()
	p := planner{input: in}
	missing := 0
	for ordinal := range replicas(w.set) {
		if pod := in.pods[ordinal]; pod == nil || !p.healthy(pod) {
			missing++
		}
	}
	healthy, acts := 0, 0
	for _, a := range w.reconcile() {
		acts++
		_, ordinal, _ := split(a.pod.Name)
		switch {
		case a.verb == create && in.pods[ordinal] != nil:
			t.Fatalf("a second %s is asked for", a.pod.Name)
		case a.verb == create && ordered:
			for lower := range ordinal {
				if pod := in.pods[lower]; pod == nil || !p.healthy(pod) {
					t.Fatalf("%s is asked for before %d serves", a.pod.Name, lower)
				}
			}
		case a.verb == remove && inRange(w.set, ordinal) && p.healthy(in.pods[ordinal]):
			healthy++
		case a.verb == remove && ordered:
			for higher := range in.pods {
				if higher > ordinal && !inRange(w.set, ordinal) {
					t.Fatalf("%s is to go before %d has", a.pod.Name, higher)
				}
			}
		}
	}
	if ordered && acts > 1 && maxUnavailable(w.set) == 1 {
		t.Fatalf("an ordered set does %d things at once", acts)
	}
	if healthy > 0 && missing+healthy > maxUnavailable(w.set) {
		t.Fatalf("%d that serve are to go while %d are missing, allowed are %d", healthy, missing, maxUnavailable(w.set))
	}
}
