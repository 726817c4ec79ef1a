package statefulset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// planStatus counts. wait is the time until a pod becomes available by time
// alone; zero when none does.
func planStatus(in input, collisions *int32) (appsv1.StatefulSetStatus, time.Duration) {
	s := *in.set.Status.DeepCopy()
	s.Replicas, s.ReadyReplicas, s.AvailableReplicas, s.CurrentReplicas, s.UpdatedReplicas = 0, 0, 0, 0, 0
	s.ObservedGeneration = in.set.Generation
	s.CurrentRevision, s.UpdateRevision = in.current.name, in.update.name
	s.CollisionCount = collisions
	if s.CollisionCount == nil {
		s.CollisionCount = new(int32)
	}
	var wait time.Duration
	for _, pod := range in.pods {
		left := count(&s, in, pod)
		if left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	complete(in.set, &s)
	return s, wait
}

// count adds one pod.
func count(s *appsv1.StatefulSetStatus, in input, pod *corev1.Pod) time.Duration {
	s.Replicas++
	var wait time.Duration
	if pod.Status.Phase == corev1.PodRunning && pods.Ready(pod) {
		s.ReadyReplicas++
		ok, left := available(in.set, pod, in.now)
		if ok {
			s.AvailableReplicas++
		}
		wait = left
	}
	if pod.DeletionTimestamp != nil {
		return wait
	}
	switch revision := pod.Labels[revisionLabel]; {
	case revision == in.current.name && revision == in.update.name:
		s.CurrentReplicas++
		s.UpdatedReplicas++
	case revision == in.current.name:
		s.CurrentReplicas++
	case revision == in.update.name:
		s.UpdatedReplicas++
	}
	return wait
}

// complete makes the update revision the current one once every pod is of it.
func complete(set *appsv1.StatefulSet, s *appsv1.StatefulSetStatus) {
	n := int32(replicas(set))
	if set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType &&
		s.UpdatedReplicas == n && s.ReadyReplicas == n && s.Replicas == n {
		s.CurrentReplicas, s.CurrentRevision = s.UpdatedReplicas, s.UpdateRevision
	}
}
