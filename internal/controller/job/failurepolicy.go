package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// verdict is what a job's failure policy says of a failed pod (KEP-3329). An
// empty action means that no rule matched: the failure counts.
type verdict struct {
	action  batchv1.PodFailurePolicyAction
	message string // for FailJob
}

func (v verdict) counts() bool { return v.action != batchv1.PodFailurePolicyActionIgnore }

// judge finds the first rule that matches. A pod that is only being deleted
// is not judged: it is not known yet how it ends.
func judge(j *batchv1.Job, pod *corev1.Pod) verdict {
	if j.Spec.PodFailurePolicy == nil || pod.Status.Phase != corev1.PodFailed {
		return verdict{}
	}
	for i := range j.Spec.PodFailurePolicy.Rules {
		rule := &j.Spec.PodFailurePolicy.Rules[i]
		if rule.OnExitCodes != nil {
			if c := matchExit(rule.OnExitCodes, pod); c != nil {
				return verdict{rule.Action, fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v matching %v rule at index %d",
					c.Name, pod.Namespace, pod.Name, c.State.Terminated.ExitCode, rule.Action, i)}
			}
			continue
		}
		if c := matchCondition(rule.OnPodConditions, pod); c != nil {
			return verdict{rule.Action, fmt.Sprintf("Pod %s/%s has condition %v matching %v rule at index %d",
				pod.Namespace, pod.Name, c.Type, rule.Action, i)}
		}
	}
	return verdict{}
}

func matchExit(r *batchv1.PodFailurePolicyOnExitCodesRequirement, pod *corev1.Pod) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			c := &list[i]
			if r.ContainerName != nil && *r.ContainerName != c.Name || c.State.Terminated == nil {
				continue
			}
			code := c.State.Terminated.ExitCode
			listed := slices.Contains(r.Values, code)
			if code != 0 && listed == (r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return c
			}
		}
	}
	return nil
}

func matchCondition(patterns []batchv1.PodFailurePolicyOnPodConditionsPattern, pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		for _, p := range patterns {
			if p.Type == c.Type && p.Status == c.Status {
				return c
			}
		}
	}
	return nil
}
