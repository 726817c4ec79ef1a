package daemonset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// planStatus counts nodes. wait is the time until a pod becomes available by
// time alone; zero when none does.
func planStatus(in input, collisions *int32) (appsv1.DaemonSetStatus, time.Duration) {
	s := appsv1.DaemonSetStatus{ObservedGeneration: in.ds.Generation, CollisionCount: collisions, Conditions: in.ds.Status.Conditions}
	placer := newPlacer(in.ds)
	var wait time.Duration
	for _, node := range in.nodes {
		here := in.pods[node.Name]
		run, _ := placer.fits(node)
		switch {
		case run:
			s.DesiredNumberScheduled++
			if left := count(&s, in, here); left > 0 && (wait == 0 || left < wait) {
				wait = left
			}
		case len(here) > 0:
			s.NumberMisscheduled++
		}
	}
	s.NumberUnavailable = s.DesiredNumberScheduled - s.NumberAvailable
	return s, wait
}

// count adds a node that should have a pod, by its oldest one.
func count(s *appsv1.DaemonSetStatus, in input, here []*corev1.Pod) time.Duration {
	if len(here) == 0 {
		return 0
	}
	s.CurrentNumberScheduled++
	here = append([]*corev1.Pod(nil), here...)
	oldestFirst(here)
	pod := here[0]
	if current(in.ds, in.hash, pod) {
		s.UpdatedNumberScheduled++
	}
	if !pods.Ready(pod) {
		return 0
	}
	s.NumberReady++
	ok, left := pods.Available(pod, in.ds.Spec.MinReadySeconds, in.now)
	if ok {
		s.NumberAvailable++
	}
	return left
}
