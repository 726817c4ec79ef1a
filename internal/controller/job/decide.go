package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// decide finds out whether the job is over, for good or bad, and shows it as
// the condition that comes before the last one: pods may have to be stopped
// and counted first. It tells whether the job's status has that one already.
func (p *planner) decide() (stored bool) {
	for _, c := range p.status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobSuccessCriteriaMet:
			p.end(batchv1.JobComplete, c.Reason, c.Message)
			return true
		case batchv1.JobFailureTarget:
			p.end(batchv1.JobFailed, c.Reason, c.Message)
			return true
		}
	}
	if reason, message := p.failure(); reason != "" {
		p.setCondition(batchv1.JobFailureTarget, corev1.ConditionTrue, reason, message)
		p.end(batchv1.JobFailed, reason, message)
		return false
	}
	if message, met := policyMet(p.job, p.done); met {
		p.success(batchv1.JobReasonSuccessPolicy, message)
	}
	return false
}

func (p *planner) success(reason, message string) {
	p.setCondition(batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue, reason, message)
	p.end(batchv1.JobComplete, reason, message)
}

func (p *planner) end(typ batchv1.JobConditionType, reason, message string) {
	c := newCondition(typ, corev1.ConditionTrue, reason, message, p.now)
	p.finish = &c
}

// failure is why the job has failed; empty where it has not.
func (p *planner) failure() (reason, message string) {
	for _, pod := range p.newFailed {
		if v := judge(p.job, pod); v.action == batchv1.PodFailurePolicyActionFailJob {
			return batchv1.JobReasonPodFailurePolicy, v.message
		}
	}
	if p.failed > int(*p.job.Spec.BackoffLimit) || p.restartedTooOften() {
		return batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit"
	}
	if left, bounded := p.timeLeft(); bounded && left <= 0 {
		return batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline"
	} else if bounded {
		p.soon(left)
	}
	if !perIndex(p.job) {
		return "", ""
	}
	lost := p.lost.total()
	if most := p.job.Spec.MaxFailedIndexes; most != nil && lost > int(*most) {
		return batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes"
	}
	if lost > 0 && lost+p.done.total() >= completions(p.job) {
		return batchv1.JobReasonFailedIndexes, "Job has failed indexes"
	}
	return "", ""
}

// restartedTooOften counts the restarts of containers in place.
func (p *planner) restartedTooOften() bool {
	if p.job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	var n int32
	for _, pod := range p.pods {
		if pod.Status.Phase != corev1.PodRunning && pod.Status.Phase != corev1.PodPending {
			continue
		}
		for _, c := range pod.Status.InitContainerStatuses {
			n += c.RestartCount
		}
		for _, c := range pod.Status.ContainerStatuses {
			n += c.RestartCount
		}
	}
	limit := *p.job.Spec.BackoffLimit
	return n > 0 && n >= limit
}

// timeLeft is what is left of the job's active deadline.
func (p *planner) timeLeft() (left time.Duration, bounded bool) {
	if p.job.Spec.ActiveDeadlineSeconds == nil || p.status.StartTime == nil || suspended(p.job) {
		return 0, false
	}
	if c := condition(&p.status, batchv1.JobSuspended); c != nil && c.Status == corev1.ConditionTrue {
		return 0, false // about to resume, with a new start
	}
	return p.status.StartTime.Add(time.Duration(*p.job.Spec.ActiveDeadlineSeconds) * time.Second).Sub(p.now), true
}

// complete ends a job whose pods have done what was asked for.
func (p *planner) complete(active int) {
	if active > 0 {
		return
	}
	if p.job.Spec.Completions == nil && p.succeeded > 0 || p.job.Spec.Completions != nil && p.succeeded >= completions(p.job) {
		p.success(batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods")
	}
}
