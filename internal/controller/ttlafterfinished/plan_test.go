package ttlafterfinished

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDue(t *testing.T) {
	end := metav1.NewTime(time.Unix(1000, 0))
	finished := func(typ batchv1.JobConditionType, status corev1.ConditionStatus) []batchv1.JobCondition {
		return []batchv1.JobCondition{{Type: typ, Status: status, LastTransitionTime: end}}
	}
	ten := int32(10)
	for name, c := range map[string]struct {
		job batchv1.Job
		ok  bool
	}{
		"complete": {batchv1.Job{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: &ten}, Status: batchv1.JobStatus{Conditions: finished("Complete", "True")}}, true},
		"failed":   {batchv1.Job{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: &ten}, Status: batchv1.JobStatus{Conditions: finished("Failed", "True")}}, true},
		"not yet":  {batchv1.Job{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: &ten}, Status: batchv1.JobStatus{Conditions: finished("FailureTarget", "True")}}, false},
		"kept":     {batchv1.Job{Status: batchv1.JobStatus{Conditions: finished("Complete", "True")}}, false},
		"going": {batchv1.Job{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &end}, Spec: batchv1.JobSpec{TTLSecondsAfterFinished: &ten},
			Status: batchv1.JobStatus{Conditions: finished("Complete", "True")}}, false},
	} {
		at, ok := due(&c.job)
		if ok != c.ok || ok && !at.Equal(end.Add(10*time.Second)) {
			t.Errorf("%s: %s, %t", name, at, ok)
		}
	}
}
