package simulated

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

// rules are how a fleet's pods are played.
type rules struct {
	endJobs bool // pods of Jobs that do not say how long they run are done at once
}

// pending tells whether the node has something to do for the pod.
func (r rules) pending(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return true
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	if _, ends := r.lifetime(pod); ends {
		return true
	}
	return pod.Status.Phase != corev1.PodRunning || conditionOf(pod, corev1.PodReady) != mayBeReady(pod)
}

// mayBeReady tells whether nothing keeps the pod from being ready: it is not
// held, and its readiness gates are open.
func mayBeReady(pod *corev1.Pod) bool {
	return pod.Annotations[simulated.Hold] == "" && !slices.ContainsFunc(pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool {
		return !conditionOf(pod, g.ConditionType)
	})
}

func conditionOf(pod *corev1.Pod, typ corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == typ {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// lifetime is how long the pod's containers run once they started; ends is
// false where they run until the pod is deleted.
func (r rules) lifetime(pod *corev1.Pod) (d time.Duration, ends bool) {
	if pod.Spec.RestartPolicy == corev1.RestartPolicyAlways {
		return 0, false
	}
	if text, ok := pod.Annotations[simulated.RunFor]; ok {
		d, err := time.ParseDuration(text)
		return d, err == nil
	}
	if !r.endJobs {
		return 0, false
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	return 0, owner != nil && owner.Kind == "Job"
}

// boundAt is when the pod got its node.
func boundAt(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

func startOf(pod *corev1.Pod) time.Time {
	if pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Time
}

// play writes the pod's next status into it: running, then, where its
// containers end by themselves, succeeded. The pod has its address already.
func (r rules) play(pod *corev1.Pod, host string, now metav1.Time) {
	s := &pod.Status
	_, ends := r.lifetime(pod)
	done := ends && s.Phase == corev1.PodRunning
	if s.StartTime == nil {
		s.StartTime = &now
	}
	s.ObservedGeneration = pod.Generation
	s.HostIP, s.HostIPs = host, []corev1.HostIP{{IP: host}}
	s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	ready, reason := mayBeReady(pod) && !done, ""
	s.Phase = corev1.PodRunning
	if done {
		s.Phase, reason = corev1.PodSucceeded, "PodCompleted"
	}
	set(pod, corev1.PodReadyToStartContainers, !done, "", now)
	set(pod, corev1.PodInitialized, true, reason, now)
	set(pod, corev1.ContainersReady, pod.Annotations[simulated.Hold] == "" && !done, reason, now)
	set(pod, corev1.PodReady, ready, reason, now)
	up := running(*s.StartTime)
	if done {
		up = exited(*s.StartTime, now)
	}
	s.ContainerStatuses = nil
	for i := range pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(pod, &pod.Spec.Containers[i], up))
	}
	s.InitContainerStatuses = nil
	for i := range pod.Spec.InitContainers {
		c, state := &pod.Spec.InitContainers[i], exited(*s.StartTime, *s.StartTime)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			state = up // a sidecar
		}
		s.InitContainerStatuses = append(s.InitContainerStatuses, containerStatus(pod, c, state))
	}
}

func running(since metav1.Time) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}}
}

func exited(since, at metav1.Time) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: since, FinishedAt: at}}
}

func containerStatus(pod *corev1.Pod, c *corev1.Container, state corev1.ContainerState) corev1.ContainerStatus {
	id := "simulated://" + string(pod.UID) + "/" + c.Name
	started := state.Running != nil
	out := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image, ContainerID: id, State: state, Started: &started}
	if t := state.Terminated; t != nil {
		out.State.Terminated = t.DeepCopy()
		out.State.Terminated.ContainerID = id
		out.Ready = !started && isInit(pod, c.Name)
		return out
	}
	out.Ready = pod.Annotations[simulated.Hold] == ""
	return out
}

// isInit: an init container that exited with success counts as ready.
func isInit(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
}

func set(pod *corev1.Pod, typ corev1.PodConditionType, yes bool, reason string, now metav1.Time) {
	status := corev1.ConditionFalse
	if yes {
		status = corev1.ConditionTrue
	}
	list := &pod.Status.Conditions
	for i := range *list {
		c := &(*list)[i]
		if c.Type != typ {
			continue
		}
		if c.Status != status {
			c.Status, c.LastTransitionTime = status, now
		}
		c.Reason, c.ObservedGeneration = reason, pod.Generation
		return
	}
	*list = append(*list, corev1.PodCondition{Type: typ, Status: status, Reason: reason, LastTransitionTime: now, ObservedGeneration: pod.Generation})
}
