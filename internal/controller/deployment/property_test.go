package deployment

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestRollingUpdateKeepsItsPromise: whatever order events arrive in, however
// far views lag behind, however writes conflict, a rolling update never asks for
// more pods than replicas plus surge, and there are never fewer ready ones than
// replicas minus unavailable. When all is quiet it is done.
func TestRollingUpdateKeepsItsPromise(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		replicas := rapid.Int32Range(1, 12).Draw(t, "replicas")
		surge := amount(t, "surge")
		unavailable := amount(t, "unavailable")
		w := newWorld(replicas, surge, unavailable)
		w.settle()
		most, least := replicas+maxSurge(w.d), replicas-maxUnavailable(w.d)
		for i := range rapid.IntRange(1, 4).Draw(t, "updates") {
			w.image(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "image"))
			for range rapid.IntRange(0, 40).Draw(t, "steps") {
				w.random(t)
				asked, _, ready := w.totals()
				if asked > most {
					t.Fatalf("update %d: %d pods asked for, at most %d promised", i, asked, most)
				}
				if ready < least {
					t.Fatalf("update %d: %d pods ready, at least %d promised", i, ready, least)
				}
			}
		}
		w.settle()
		current, _ := split(w.d, w.list())
		if asked, there, ready := w.totals(); asked != replicas || there != replicas || ready != replicas || setReplicas(current) != replicas {
			t.Fatalf("at rest: asked %d, there %d, ready %d, current %d; want %d of each", asked, there, ready, setReplicas(current), replicas)
		}
		if !complete(w.d, &w.d.Status) {
			t.Fatal("at rest, but not complete")
		}
	})
}

// TestScalingEndsRight: changes of scale in the middle of a rollout end at the
// scale asked for last.
func TestScalingEndsRight(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Int32Range(0, 10).Draw(t, "replicas"), amount(t, "surge"), amount(t, "unavailable"))
		w.settle()
		var want int32
		for range rapid.IntRange(1, 5).Draw(t, "edits") {
			want = rapid.Int32Range(0, 15).Draw(t, "scale")
			paused := rapid.Bool().Draw(t, "paused")
			w.edit(func(d *appsv1.Deployment) { d.Spec.Replicas, d.Spec.Paused = &want, paused })
			if rapid.Bool().Draw(t, "update") {
				w.image(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "image"))
			}
			for range rapid.IntRange(0, 15).Draw(t, "steps") {
				w.random(t)
			}
		}
		w.edit(func(d *appsv1.Deployment) { d.Spec.Paused = false })
		w.settle()
		if asked, _, ready := w.totals(); asked != want || ready != want {
			t.Fatalf("at rest: asked %d, ready %d, want %d", asked, ready, want)
		}
	})
}

func amount(t *rapid.T, name string) intstr.IntOrString {
	if rapid.Bool().Draw(t, name+" in percent") {
		return intstr.FromString(rapid.SampledFrom([]string{"0%", "1%", "25%", "50%", "100%"}).Draw(t, name))
	}
	return intstr.FromInt32(rapid.Int32Range(0, 4).Draw(t, name))
}

// random lets one thing happen.
func (w *world) random(t *rapid.T) {
	names := append(w.names(w.sets), w.d.Name)
	name := rapid.SampledFrom(names).Draw(t, "object")
	switch rapid.IntRange(0, 4).Draw(t, "happens") {
	case 0:
		w.see(name)
	case 1:
		w.reconcile()
	case 2:
		w.step(name)
	case 3:
		w.becomeReady(name, rapid.Int32Range(1, 3).Draw(t, "pods"))
	case 4:
		w.report(name)
	}
}

func (w *world) list() []*appsv1.ReplicaSet {
	var out []*appsv1.ReplicaSet
	for _, n := range w.names(w.sets) {
		out = append(out, w.sets[n])
	}
	return out
}
