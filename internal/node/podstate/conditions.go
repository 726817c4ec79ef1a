package podstate

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// setConditions writes the conditions that the node owns, in upstream's
// order, and keeps those of others.
func setConditions(v *View, s *corev1.PodStatus, now time.Time) {
	old := s.Conditions
	ready := containersReady(v.Pod, s)
	own := []corev1.PodCondition{
		sandboxCondition(v),
		initialized(v.Pod, s),
		podReady(v.Pod, s, ready),
		ready,
		// A pod that was made for this node has met no scheduler that would say so.
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	own = append(own, resizeConditions(v)...)
	if v.Verdict != nil && v.Verdict.Disruption && final(s.Phase) {
		own = append(own, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
			Reason: corev1.PodReasonTerminationByKubelet, Message: v.Verdict.Message,
		})
	}
	s.Conditions = nil
	for _, c := range own {
		c.ObservedGeneration = v.Pod.Generation
		c.LastTransitionTime = metav1.Unix(now.Unix(), 0)
		if prev := findCondition(old, c.Type); prev != nil && prev.Status == c.Status {
			c.LastTransitionTime = prev.LastTransitionTime
		}
		s.Conditions = append(s.Conditions, c)
	}
	for i := range old {
		if findCondition(own, old[i].Type) == nil && old[i].Type != corev1.PodResizeInProgress && old[i].Type != corev1.PodResizePending {
			s.Conditions = append(s.Conditions, old[i])
		}
	}
}

func findCondition(list []corev1.PodCondition, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}

func sandboxCondition(v *View) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}
	if s := v.Sandbox(); s != nil && (v.Pod.Spec.HostNetwork || s.GetNetwork().GetIp() != "") {
		c.Status = corev1.ConditionTrue
	}
	return c
}

func initialized(pod *corev1.Pod, s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	var incomplete, unknown []string
	for i := range pod.Spec.InitContainers {
		spec := &pod.Spec.InitContainers[i]
		st := findIn(s.InitContainerStatuses, spec.Name)
		switch {
		case st == nil:
			unknown = append(unknown, spec.Name)
		case render.IsSidecar(spec):
			if st.Started == nil || !*st.Started {
				incomplete = append(incomplete, spec.Name)
			}
		case !st.Ready:
			incomplete = append(incomplete, spec.Name)
		}
	}
	switch {
	case s.Phase == corev1.PodSucceeded && len(unknown) == 0:
		c.Reason = "PodCompleted"
	case len(unknown)+len(incomplete) > 0 && !anyStarted(s):
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		c.Message = list("incomplete", incomplete, unknown)
	}
	return c
}

// list words which containers are amiss.
func list(what string, names, unknown []string) string {
	var out string
	if len(unknown) > 0 {
		out = fmt.Sprintf("containers with unknown status: %s", unknown)
	}
	if len(names) > 0 {
		if out != "" {
			out += ", "
		}
		out += fmt.Sprintf("containers with %s status: %s", what, names)
	}
	return out
}

func containersReady(pod *corev1.Pod, s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}
	switch s.Phase {
	case corev1.PodSucceeded:
		c.Status, c.Reason = corev1.ConditionFalse, "PodCompleted"
		return c
	case corev1.PodFailed:
		c.Status, c.Reason = corev1.ConditionFalse, "PodFailed"
		return c
	}
	var unready, unknown []string
	check := func(statuses []corev1.ContainerStatus, name string) {
		switch st := findIn(statuses, name); {
		case st == nil:
			unknown = append(unknown, name)
		case !st.Ready:
			unready = append(unready, name)
		}
	}
	for i := range pod.Spec.InitContainers {
		if render.IsSidecar(&pod.Spec.InitContainers[i]) {
			check(s.InitContainerStatuses, pod.Spec.InitContainers[i].Name)
		}
	}
	for i := range pod.Spec.Containers {
		check(s.ContainerStatuses, pod.Spec.Containers[i].Name)
	}
	if len(unready)+len(unknown) > 0 {
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotReady"
		c.Message = list("unready", unready, unknown)
	}
	return c
}

// podReady is ContainersReady and the pod's readiness gates.
func podReady(pod *corev1.Pod, s *corev1.PodStatus, ready corev1.PodCondition) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReady, Status: ready.Status, Reason: ready.Reason, Message: ready.Message}
	if ready.Status != corev1.ConditionTrue {
		return c
	}
	var missing []string
	for _, gate := range pod.Spec.ReadinessGates {
		switch cond := findCondition(s.Conditions, gate.ConditionType); {
		case cond == nil:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case cond.Status != corev1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, cond.Status))
		}
	}
	if len(missing) > 0 {
		c.Status, c.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		for i, m := range missing {
			if i > 0 {
				c.Message += ", "
			}
			c.Message += m
		}
	}
	return c
}
