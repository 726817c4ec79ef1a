package podstate

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Status is the pod's status as it should stand at the API. Conditions that
// others own are carried over from the pod; times of conditions change only
// with their status.
func Status(v *View, now time.Time) corev1.PodStatus {
	old := &v.Pod.Status
	s := *old.DeepCopy()
	s.ObservedGeneration = v.Pod.Generation
	s.QOSClass = render.QOS(v.Pod)
	if start := v.startTime(); !start.IsZero() {
		t := metav1.Unix(start.Unix(), 0)
		s.StartTime = &t
	}
	s.HostIP, s.HostIPs = "", nil
	for i, ip := range v.HostIPs {
		if i == 0 {
			s.HostIP = ip
		}
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	s.PodIP, s.PodIPs = "", nil
	for i, ip := range v.PodIPs() {
		if i == 0 {
			s.PodIP = ip
		}
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
	containerStatuses(v, &s, now)
	wholeResources(v, &s)
	setPhase(v, &s, now)
	setConditions(v, &s, now)
	return s
}

// setPhase gives the phase, and the reason of a pod that was ended. A phase
// that is final stays, and is not reached before everything of the pod has
// ended: whoever sees it may count on the pod's resources being free.
func setPhase(v *View, s *corev1.PodStatus, now time.Time) {
	if final(s.Phase) {
		return
	}
	phase, reason, message := verdict(v, s, now)
	if final(phase) && (v.anyRunning() || v.busyWith(StartContainer)) {
		if s.Phase == "" {
			s.Phase = corev1.PodRunning
		}
		return
	}
	s.Phase = phase
	if reason != "" {
		s.Reason, s.Message = reason, message
	}
}

func final(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }

func verdict(v *View, s *corev1.PodStatus, now time.Time) (phase corev1.PodPhase, reason, message string) {
	switch {
	case v.Verdict != nil:
		return corev1.PodFailed, v.Verdict.Reason, v.Verdict.Message
	case v.Stop == nil && expired(v, now):
		return corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
	}
	return Phase(v.Pod, s, v.Stop != nil && !v.anyRunning()), "", ""
}

// tally counts container states; again are those stopped ones that wait to be
// run again.
type tally struct{ waiting, running, stopped, succeeded, again, unknown int }

func (t *tally) add(s *corev1.ContainerStatus) {
	last := s.LastTerminationState.Terminated
	switch {
	case s.State.Running != nil:
		t.running++
	case s.State.Terminated != nil:
		t.stopped++
		if s.State.Terminated.ExitCode == 0 {
			t.succeeded++
		}
	case s.State.Waiting != nil && last != nil:
		t.stopped++
		t.again++
	case s.State.Waiting != nil:
		t.waiting++
	default:
		t.unknown++
	}
}

// Phase sums container statuses up; over is set once a stopping pod runs
// nothing more, and makes the phase final.
func Phase(pod *corev1.Pod, s *corev1.PodStatus, over bool) corev1.PodPhase {
	pending, failed := initProgress(pod, s, over)
	var t tally
	for i := range pod.Spec.Containers {
		if c := findIn(s.ContainerStatuses, pod.Spec.Containers[i].Name); c != nil {
			t.add(c)
		} else {
			t.unknown++
		}
	}
	switch {
	case over && t.running == 0 && t.stopped > 0:
		return finalPhase(t, failed)
	case over && failed:
		return corev1.PodFailed
	case failed && pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	case over && t.stopped == 0:
		// Deleted before anything of it ran.
		return corev1.PodFailed
	case pending, t.waiting > 0:
		return corev1.PodPending
	case t.running > 0 && t.unknown == 0:
		return corev1.PodRunning
	case t.running == 0 && t.stopped > 0 && t.unknown == 0:
		return stoppedPhase(pod, t)
	}
	return corev1.PodPending
}

func finalPhase(t tally, initFailed bool) corev1.PodPhase {
	if t.stopped == t.succeeded && t.waiting == 0 && !initFailed {
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

func stoppedPhase(pod *corev1.Pod, t tally) corev1.PodPhase {
	switch {
	case pod.Spec.RestartPolicy == corev1.RestartPolicyAlways, t.again > 0:
		return corev1.PodRunning
	case t.stopped == t.succeeded:
		return corev1.PodSucceeded
	case pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

// initProgress tells whether init containers are still to be run, and whether
// one has failed; while the pod goes on, one that is to run again has not.
func initProgress(pod *corev1.Pod, s *corev1.PodStatus, over bool) (pending, failed bool) {
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		st := findIn(s.InitContainerStatuses, c.Name)
		switch {
		case st == nil:
			pending = true
		case render.IsSidecar(c):
			if st.Started == nil || !*st.Started {
				pending = pending || !anyStarted(s)
			}
		case st.State.Terminated != nil:
			failed = failed || st.State.Terminated.ExitCode != 0
		case st.State.Waiting != nil && st.LastTerminationState.Terminated != nil:
			failed = failed || over && st.LastTerminationState.Terminated.ExitCode != 0
			pending = true
		default:
			pending = true
		}
	}
	return pending, failed
}

// anyStarted tells that the pod's containers were let run: a sidecar that
// crashed afterwards does not make the pod pending.
func anyStarted(s *corev1.PodStatus) bool {
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		if c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

func findIn(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
