package deployment

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestNobodyLooksAgainWhereTimeChangesNothing: a rollout that came to its end has no
// deadline any more, whatever becomes of its pods.
func TestNobodyLooksAgainWhereTimeChangesNothing(t *testing.T) {
	w := newWorld(3, intstr.FromInt32(1), intstr.FromInt32(0))
	w.settle()
	name := w.names(w.sets)[0]
	w.now = w.now.Add(time.Hour)
	w.ready[name]--
	w.unready[name]++
	w.report(name)
	w.see(name)
	w.see("")
	r := w.reconcile()
	if r == nil || r.d.Status.UnavailableReplicas != 1 {
		t.Fatalf("the lost pod is not seen: %+v", r)
	}
	if r.requeue != 0 {
		t.Errorf("it is looked at again in %s", r.requeue)
	}
}
