package scheduler

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// queueing is a scheduler's state with a queue, over a node of 4 CPUs.
func queueing() (*Scheduler, *profile) {
	s, p := bare()
	s.queue = queue.New(p.gates, queue.Backoff{})
	s.profiles = map[string]*profile{"": p}
	s.cluster.set(newNode("a"))
	return s, p
}

// try pops the pod that is to be tried next, and parks it where no node takes it.
func try(s *Scheduler, p *profile, now time.Time) (name, node string) {
	e := s.queue.Pop(now)
	if e == nil {
		return "", ""
	}
	_, at, failure := s.choose(p, e.Pod)
	if failure != nil {
		s.queue.Fail(e, failure.rejecters(p), false, now)
		return e.Pod.Name, ""
	}
	s.assume(e.Pod, at)
	return e.Pod.Name, at.Name
}

func changed(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	out := pod.DeepCopy()
	change(out)
	return out
}

// TestFinishedPodsGetNoNode: a pod may be given up before it has a node.
func TestFinishedPodsGetNoNode(t *testing.T) {
	now := time.Unix(100, 0)
	for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded} {
		s, p := queueing()
		waits := newPod("p", cpu("8"))
		s.podChanged(nil, waits, now)
		if name, node := try(s, p, now); name != "p" || node != "" {
			t.Fatalf("tried %q, which went to %q", name, node)
		}
		over := changed(waits, func(p *corev1.Pod) { p.Status.Phase = phase })
		s.podChanged(waits, over, now)
		s.nodeChanged(nil, newNode("b", func(n *corev1.Node) { n.Status.Allocatable = amounts("16", "32Gi", "110") }), now)
		if name, node := try(s, p, now.Add(time.Hour)); name != "" {
			t.Errorf("%s: it was tried again, and went to %q", phase, node)
		}
		s.podChanged(nil, over, now) // as after a restart
		if name, node := try(s, p, now.Add(time.Hour)); name != "" {
			t.Errorf("%s: it was tried after a restart, and went to %q", phase, node)
		}
	}
}

// TestPodsThatAreDeletedWhileTheyAreBoundHoldNoRoom: a finalizer may keep such
// a pod, and its volumes may take long.
func TestPodsThatAreDeletedWhileTheyAreBoundHoldNoRoom(t *testing.T) {
	now := time.Unix(100, 0)
	s, p := queueing()
	first, second := newPod("first", cpu("3")), newPod("second", cpu("3"))
	s.podChanged(nil, first, now)
	if _, node := try(s, p, now); node != "a" {
		t.Fatalf("the first went to %q", node)
	}
	s.podChanged(nil, second, now)
	if name, node := try(s, p, now); name != "second" || node != "" {
		t.Fatalf("%q went to %q, where the first is", name, node)
	}
	s.podChanged(first, changed(first, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }), now)
	if name, node := try(s, p, now.Add(time.Minute)); name != "second" || node != "a" {
		t.Errorf("%q went to %q, want the second on a", name, node)
	}
}

// TestResizesAreCountedToTheirEnd: what a pod takes follows from what it asks
// for, was granted and has, and from whether its node will ever grant it.
func TestResizesAreCountedToTheirEnd(t *testing.T) {
	now := time.Unix(100, 0)
	has := func(granted, given string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: p.Spec.Containers[0].Name,
				AllocatedResources: corev1.ResourceList{"cpu": resource.MustParse(granted)},
				Resources:          &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(given)}},
			}}
		}
	}
	hasWhole := func(granted, given string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.AllocatedResources = corev1.ResourceList{"cpu": resource.MustParse(granted)}
			p.Status.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(given)}}
		}
	}
	asks := func(n string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Generation++; cpu(n)(p) }
	}
	asksWhole := func(n string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Generation++
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(n)}}
		}
	}
	for what, steps := range map[string][]func(*corev1.Pod){
		"less, given after it was granted": {has("3", "3"), asks("1"), has("1", "3"), has("1", "1")},
		"more than the node will grant": {has("1", "1"), asks("64"), func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible}}
		}},
		"less for the pod as a whole": {asksWhole("3"), hasWhole("3", "3"), asksWhole("1"), hasWhole("1", "3"), hasWhole("1", "1")},
	} {
		s, p := queueing()
		runs := newPod("runs", cpu("3"))
		if what == "more than the node will grant" {
			runs = newPod("runs", cpu("1"))
		}
		runs.Spec.NodeName = "a"
		s.podChanged(nil, runs, now)
		for i, step := range steps {
			if i == len(steps)-1 {
				s.podChanged(nil, newPod("waits", cpu("3")), now)
				if name, node := try(s, p, now); name != "waits" || node != "" {
					t.Errorf("%s: %q went to %q, which has no room yet", what, name, node)
				}
			}
			next := changed(runs, step)
			s.podChanged(runs, next, now)
			runs = next
		}
		if name, node := try(s, p, now.Add(time.Minute)); name != "waits" || node != "a" {
			t.Errorf("%s: %q went to %q, want the other one on a", what, name, node)
		}
	}
}

// TestRoomThatIsNoLongerKeptIsTold: those who were kept out by a nomination look
// again when it goes elsewhere, or is taken back.
func TestRoomThatIsNoLongerKeptIsTold(t *testing.T) {
	now := time.Unix(100, 0)
	for what, end := range map[string]func(s *Scheduler, high *framework.Pod){
		"the pod goes to another node":         func(s *Scheduler, high *framework.Pod) { s.assume(high, s.cluster.byName["b"]) },
		"the pod is nominated for another":     func(s *Scheduler, high *framework.Pod) { s.nominate(high, "b") },
		"the nomination is taken back":         func(s *Scheduler, high *framework.Pod) { s.nominate(high, "") },
		"the pod is gone":                      func(s *Scheduler, high *framework.Pod) { s.podChanged(high.Pod, nil, now) },
		"its status says that it needs none":   func(s *Scheduler, high *framework.Pod) { told(s, high, "a", "", now) },
		"its status says that it needs others": func(s *Scheduler, high *framework.Pod) { told(s, high, "a", "b", now) },
	} {
		s, p := queueing()
		s.cluster.set(newNode("b", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}} }))
		high := framework.NewPod(newPod("high", cpu("3"), priority(10)))
		s.nominate(high, "a")
		s.podChanged(nil, newPod("low", cpu("2")), now)
		if name, node := try(s, p, now); name != "low" || node != "" {
			t.Fatalf("%q went to %q, where room is kept", name, node)
		}
		end(s, high)
		if name, node := try(s, p, now.Add(time.Minute)); name != "low" || node != "a" {
			t.Errorf("%s: %q went to %q, want low on a", what, name, node)
		}
	}
}

// told is a change of the pod's nominated node in the API.
func told(s *Scheduler, pod *framework.Pod, from, to string, now time.Time) {
	before := changed(pod.Pod, func(p *corev1.Pod) { p.Status.NominatedNodeName = from })
	s.queue.Set(framework.NewPod(before), now)
	s.queue.Fail(s.queue.Pop(now), nil, false, now)
	s.podChanged(before, changed(before, func(p *corev1.Pod) { p.Status.NominatedNodeName = to }), now)
	s.queue.Drop(pod.UID)
}
