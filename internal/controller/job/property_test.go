package job

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestCountsAreExact: wherever the controller is killed between two writes,
// whatever becomes of pods, and however often the job is resized or held, in
// the end the status counts each pod once, and there are never more active
// pods than asked for.
func TestCountsAreExact(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Int32Range(1, 4).Draw(t, "parallelism"), nil)
		if rapid.Bool().Draw(t, "has completions") {
			n := rapid.Int32Range(1, 6).Draw(t, "completions")
			w.job.Spec.Completions = &n
			if rapid.Bool().Draw(t, "indexed") {
				mode := batchv1.IndexedCompletion
				w.job.Spec.CompletionMode = &mode
			}
		}
		if rapid.Bool().Draw(t, "replace when failed") {
			p := batchv1.Failed
			w.job.Spec.PodReplacementPolicy = &p
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			happen(t, w)
			w.writes = rapid.IntRange(-1, 5).Draw(t, "writes")
			w.reconcile()
			active := 0
			for _, pod := range w.pods {
				if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
					active++
				}
			}
			if most := 4; active > most {
				t.Fatalf("%d pods are active", active)
			}
		}
		rest(w)
		s := w.job.Status
		if int(s.Failed) != w.failed || int(s.Succeeded) != w.succeeded {
			t.Fatalf("counted %d succeeded and %d failed, but it were %d and %d", s.Succeeded, s.Failed, w.succeeded, w.failed)
		}
		if u := s.UncountedTerminatedPods; u == nil || len(u.Succeeded)+len(u.Failed) > 0 {
			t.Fatalf("uncounted at rest: %v", u)
		}
		for _, pod := range w.pods {
			if tracked(pod) {
				t.Fatalf("%s is tracked by a job that is over", pod.Name)
			}
		}
	})
}

func happen(t *rapid.T, w *world) {
	id := types.UID([]byte{'0', '0', byte('1' + rapid.IntRange(0, 8).Draw(t, "pod"))})
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		w.end(id, 0)
	case 1:
		w.end(id, 1)
	case 2:
		disrupt(w, id)
	case 3:
		w.job = w.job.DeepCopy()
		n := rapid.Int32Range(0, 4).Draw(t, "parallelism")
		w.job.Spec.Parallelism = &n
	case 4:
		w.job = w.job.DeepCopy()
		held := rapid.Bool().Draw(t, "held")
		w.job.Spec.Suspend = &held
	case 5:
		w.now = w.now.Add(time.Minute)
		w.sweep()
	}
}

// disrupt deletes a pod as a user would.
func disrupt(w *world, id types.UID) {
	pod := w.pods[id]
	if pod == nil || pod.DeletionTimestamp != nil {
		return
	}
	running := pod.Status.Phase == corev1.PodRunning
	w.change(id, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: w.now} })
	if running && !onlyReplaceFailed(w.job) {
		w.failed++
	}
}

// rest brings the job to its end: every pod succeeds, deleted ones go.
func rest(w *world) {
	w.writes = -1
	one, no := int32(1), false
	w.job = w.job.DeepCopy()
	w.job.Spec.Parallelism, w.job.Spec.Suspend = &one, &no
	for range 200 {
		w.now = w.now.Add(time.Hour)
		w.reconcile()
		for id, pod := range w.pods {
			if pod.DeletionTimestamp != nil {
				w.end(id, 137)
			} else {
				w.end(id, 0)
			}
		}
		w.sweep()
	}
}
