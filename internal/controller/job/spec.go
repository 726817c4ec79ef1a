package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func indexed(j *batchv1.Job) bool {
	return j.Spec.CompletionMode != nil && *j.Spec.CompletionMode == batchv1.IndexedCompletion
}

func suspended(j *batchv1.Job) bool { return j.Spec.Suspend != nil && *j.Spec.Suspend }

func perIndex(j *batchv1.Job) bool { return indexed(j) && j.Spec.BackoffLimitPerIndex != nil }

// completions is for jobs that have them.
func completions(j *batchv1.Job) int { return int(*j.Spec.Completions) }

// foreign tells whether another controller manages the job (KEP-4368).
func foreign(j *batchv1.Job) bool {
	return j.Spec.ManagedBy != nil && *j.Spec.ManagedBy != batchv1.JobControllerName
}

// finished tells whether a job has ended, either way.
func finished(s *batchv1.JobStatus) bool {
	for _, c := range s.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func condition(s *batchv1.JobStatus, typ batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == typ {
			return &s.Conditions[i]
		}
	}
	return nil
}

func newCondition(typ batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string, now time.Time) batchv1.JobCondition {
	return batchv1.JobCondition{
		Type: typ, Status: status, Reason: reason, Message: message,
		LastProbeTime: *stamp(now), LastTransitionTime: *stamp(now),
	}
}

func (p *planner) setCondition(typ batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) {
	c := newCondition(typ, status, reason, message, p.now)
	if have := condition(&p.status, typ); have != nil {
		*have = c
		return
	}
	p.status.Conditions = append(p.status.Conditions, c)
}

func stamp(t time.Time) *metav1.Time {
	out := metav1.NewTime(t)
	return &out
}
