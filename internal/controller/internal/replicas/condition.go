package replicas

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// setFailure shows a failed run as the ReplicaFailure condition and takes the
// condition away once a run succeeds.
func setFailure(status *appsv1.ReplicaSetStatus, failure error, p plan, now time.Time) {
	has := -1
	for i := range status.Conditions {
		if status.Conditions[i].Type == appsv1.ReplicaSetReplicaFailure {
			has = i
		}
	}
	switch {
	case failure == nil && has >= 0:
		status.Conditions = append(status.Conditions[:has:has], status.Conditions[has+1:]...)
	case failure != nil && has < 0:
		reason := "FailedCreate"
		if p.create == 0 {
			reason = "FailedDelete"
		}
		status.Conditions = append(status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: reason,
			Message: failure.Error(), LastTransitionTime: metav1.NewTime(now),
		})
	}
}
