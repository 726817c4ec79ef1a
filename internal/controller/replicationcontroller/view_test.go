package replicationcontroller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestViewAndBack(t *testing.T) {
	three := int32(3)
	rc := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", Generation: 2},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: &three, MinReadySeconds: 4, Selector: map[string]string{"app": "web"},
			Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}},
		},
	}
	rs := view(rc)
	if rs.UID != "u" || *rs.Spec.Replicas != 3 || rs.Spec.MinReadySeconds != 4 || rs.Spec.Selector.MatchLabels["app"] != "web" || rs.Spec.Template.Labels["app"] != "web" {
		t.Errorf("the view: %+v", rs)
	}
	two := int32(2)
	status := appsv1.ReplicaSetStatus{
		Replicas: 3, FullyLabeledReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 1, ObservedGeneration: 2, TerminatingReplicas: &two,
		Conditions: []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "no"}},
	}
	back := view(withStatus(rc, status)).Status
	status.TerminatingReplicas = nil // has no place in the older kind
	if diff := cmp.Diff(status, back); diff != "" {
		t.Error(diff)
	}
	if len(rc.Status.Conditions) != 0 {
		t.Error("the original was changed")
	}
}
