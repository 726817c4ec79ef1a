package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

func pod(name string, priority int32, gates ...string) *framework.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{Priority: &priority}}
	for _, g := range gates {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: g})
	}
	return framework.NewPod(p)
}

func at(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }

func names(q *Queue, now time.Time) []string {
	var out []string
	for e := q.Pop(now); e != nil; e = q.Pop(now) {
		out = append(out, e.Pod.Name)
	}
	return out
}

func TestOrderIsByPriorityThenAge(t *testing.T) {
	q := New(nil, Backoff{})
	q.Set(pod("old", 0), at(1))
	q.Set(pod("new", 0), at(2))
	q.Set(pod("high", 10), at(3))
	if diff := cmp.Diff([]string{"high", "old", "new"}, names(q, at(4))); diff != "" {
		t.Error(diff)
	}
}

func TestGatedPodsWaitForTheirGates(t *testing.T) {
	q := New([]framework.PreEnqueuer{plugins.SchedulingGates{}}, Backoff{})
	q.Set(pod("a", 0, "g"), at(1))
	if got := names(q, at(2)); got != nil {
		t.Fatalf("a gated pod was tried: %v", got)
	}
	q.Happened(framework.Event{Kind: framework.NodeAdded, NewNode: &corev1.Node{}}, at(2))
	if got := names(q, at(3)); got != nil {
		t.Fatalf("an event lifted a gate: %v", got)
	}
	q.Set(pod("a", 0), at(4))
	if diff := cmp.Diff([]string{"a"}, names(q, at(4))); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyEventsThatHelpWake(t *testing.T) {
	q := New(nil, Backoff{})
	q.Set(pod("a", 0), at(0))
	e := q.Pop(at(0))
	q.Fail(e, []framework.Plugin{plugins.NodeUnschedulable{}}, false, at(0))
	cordoned := &corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true}}
	q.Happened(framework.Event{Kind: framework.NodeAdded, NewNode: cordoned}, at(0.5))
	q.Happened(framework.Event{Kind: framework.PodFreed, OldPod: &corev1.Pod{}}, at(0.5))
	if _, backoff, parked, _ := q.Lengths(); backoff != 0 || parked != 1 {
		t.Fatal("an event that cannot help woke the pod")
	}
	q.Happened(framework.Event{Kind: framework.NodeChanged, OldNode: cordoned, NewNode: &corev1.Node{}}, at(0.5))
	if got := names(q, at(0.9)); got != nil {
		t.Fatalf("tried within its back-off: %v", got)
	}
	if due := q.Due(); !due.Equal(at(1)) {
		t.Errorf("due %v, want after one second", due)
	}
	if diff := cmp.Diff([]string{"a"}, names(q, at(1))); diff != "" {
		t.Error(diff)
	}
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	q := New(nil, Backoff{})
	now := at(0)
	q.Set(pod("a", 0), now)
	var pauses []time.Duration
	for range 6 {
		e := q.Pop(now)
		q.Fail(e, nil, true, now)
		pauses = append(pauses, q.Due().Sub(now))
		now = q.Due()
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s}, pauses); diff != "" {
		t.Error(diff)
	}
}

func TestParkedPodsAreTriedAgainInTheEnd(t *testing.T) {
	q := New(nil, Backoff{})
	q.Set(pod("a", 0), at(0))
	q.Fail(q.Pop(at(0)), []framework.Plugin{plugins.NodeName{}}, false, at(0))
	if got := names(q, at(299)); got != nil {
		t.Fatal("too early")
	}
	if diff := cmp.Diff([]string{"a"}, names(q, at(300))); diff != "" {
		t.Error(diff)
	}
}

func TestDroppedPodsNeverComeBack(t *testing.T) {
	q := New(nil, Backoff{})
	q.Set(pod("a", 0), at(0))
	e := q.Pop(at(0))
	q.Drop("a")
	q.Fail(e, nil, true, at(0))
	if q.Has("a") || !q.Due().IsZero() {
		t.Error("a deleted pod waits")
	}
}
