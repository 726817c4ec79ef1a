package tainteviction

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDue(t *testing.T) {
	now := time.Unix(1000, 0)
	added := metav1.NewTime(now.Add(-10 * time.Second))
	taint := func(key string) corev1.Taint {
		return corev1.Taint{Key: key, Value: "v", Effect: corev1.TaintEffectNoExecute, TimeAdded: &added}
	}
	tolerate := func(key string, seconds int64) corev1.Toleration {
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if seconds >= 0 {
			t.TolerationSeconds = &seconds
		}
		return t
	}
	undated := taint("a")
	undated.TimeAdded = nil
	cases := []struct {
		name        string
		taints      []corev1.Taint
		tolerations []corev1.Toleration
		evict       bool
		after       time.Duration // since the taint was added
	}{
		{"no taints", nil, nil, false, 0},
		{"not tolerated", []corev1.Taint{taint("a")}, nil, true, 0},
		{"tolerated for ever", []corev1.Taint{taint("a")}, []corev1.Toleration{tolerate("a", -1)}, false, 0},
		{"tolerated for a while", []corev1.Taint{taint("a")}, []corev1.Toleration{tolerate("a", 300)}, true, 300 * time.Second},
		{"the shortest counts", []corev1.Taint{taint("a"), taint("b")}, []corev1.Toleration{tolerate("a", 300), tolerate("b", 60)}, true, 60 * time.Second},
		{"one is not tolerated", []corev1.Taint{taint("a"), taint("b")}, []corev1.Toleration{tolerate("a", 300)}, true, 0},
		{"by value", []corev1.Taint{taint("a")}, []corev1.Toleration{{Key: "a", Value: "v"}}, false, 0},
		{"by another value", []corev1.Taint{taint("a")}, []corev1.Toleration{{Key: "a", Value: "w"}}, true, 0},
		{"since it was seen", []corev1.Taint{undated}, []corev1.Toleration{tolerate("a", 30)}, true, 40 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: c.tolerations}}
			at, evict := due(pod, c.taints, now)
			if evict != c.evict || evict && !at.Equal(added.Add(c.after)) {
				t.Errorf("evict %t at %s", evict, at)
			}
		})
	}
}

// TestDueCountsFromWhenThePodMetTheTaint: a pod that came later has all of its
// time, and a clock that was set back since adds none.
func TestDueCountsFromWhenThePodMetTheTaint(t *testing.T) {
	now, seconds := time.Unix(100000, 0), int64(60)
	for _, c := range []struct {
		name             string
		added, scheduled time.Duration // before now
		tolerated        bool
		left             time.Duration
	}{
		{"the taint came to the pod", 10 * time.Second, time.Hour, true, 50 * time.Second},
		{"the pod came to the taint", time.Hour, 10 * time.Second, true, 50 * time.Second},
		{"the clock was set back", -time.Hour, time.Hour, true, time.Minute},
		{"the clock was set back, and nothing is tolerated", -time.Hour, time.Hour, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			added := metav1.NewTime(now.Add(-c.added))
			pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-c.scheduled)),
			}}}}
			if c.tolerated {
				pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, TolerationSeconds: &seconds}}
			}
			at, evict := due(pod, []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoExecute, TimeAdded: &added}}, now)
			if left := max(0, at.Sub(now)); !evict || left != c.left {
				t.Errorf("evict %t in %s, want in %s", evict, left, c.left)
			}
		})
	}
}
