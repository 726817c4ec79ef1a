package replicas

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// burst is the most pods created or deleted in one run, as upstream's.
const burst = 500

// plan is what one run does.
type plan struct {
	create int
	remove []*corev1.Pod
}

// planReplicas compares the active pods with the desired count. related are
// the active pods of the set's siblings (of one Deployment), by which a node
// that holds several is preferred for removal.
func planReplicas(rs *appsv1.ReplicaSet, active, related []*corev1.Pod, now time.Time) plan {
	missing := int(desired(rs)) - len(active)
	switch {
	case missing > 0:
		return plan{create: min(missing, burst)}
	case missing < 0:
		return plan{remove: ToRemove(active, related, min(-missing, burst), now)}
	}
	return plan{}
}

// desired is spec.replicas, which the API always fills.
func desired(rs *appsv1.ReplicaSet) int32 {
	if rs.Spec.Replicas == nil {
		return 1
	}
	return *rs.Spec.Replicas
}

// planStatus is the status that the set should have. wait is the time until
// the next ready pod counts as available; zero when none does by itself.
func planStatus(rs *appsv1.ReplicaSet, owned []*corev1.Pod, failure error, p plan, now time.Time) (appsv1.ReplicaSetStatus, time.Duration) {
	status := *rs.Status.DeepCopy()
	status.Replicas, status.FullyLabeledReplicas, status.ReadyReplicas, status.AvailableReplicas = 0, 0, 0, 0
	template := labels.Set(rs.Spec.Template.Labels).AsSelectorPreValidated()
	var terminating int32
	var wait time.Duration
	for _, pod := range owned {
		if pods.Terminating(pod) {
			terminating++
		}
		if !pods.Active(pod) {
			continue
		}
		status.Replicas++
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if !pods.Ready(pod) {
			continue
		}
		status.ReadyReplicas++
		ok, left := pods.Available(pod, rs.Spec.MinReadySeconds, now)
		if ok {
			status.AvailableReplicas++
		} else if left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	status.TerminatingReplicas = &terminating
	status.ObservedGeneration = rs.Generation
	setFailure(&status, failure, p, now)
	return status, wait
}
