package podstate

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Reasons for which a container waits.
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonCrashLoop    = "CrashLoopBackOff"
	reasonLost         = "ContainerStatusUnknown"
	exitLost           = 137
)

func containerStatuses(v *View, s *corev1.PodStatus, now time.Time) {
	waits := reasonCreating
	if len(v.Pod.Spec.InitContainers) > 0 {
		waits = reasonInitializing
	}
	old := v.Pod.Status
	s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses = nil, nil, nil
	for i := range v.Pod.Spec.InitContainers {
		c := &v.Pod.Spec.InitContainers[i]
		s.InitContainerStatuses = append(s.InitContainerStatuses, containerStatus(v, c, findIn(old.InitContainerStatuses, c.Name), waits, true, now))
	}
	for i := range v.Pod.Spec.Containers {
		c := &v.Pod.Spec.Containers[i]
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(v, c, findIn(old.ContainerStatuses, c.Name), waits, false, now))
	}
	for i := range v.Pod.Spec.EphemeralContainers {
		c := (*corev1.Container)(&v.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		s.EphemeralContainerStatuses = append(s.EphemeralContainerStatuses, containerStatus(v, c, findIn(old.EphemeralContainerStatuses, c.Name), reasonCreating, false, now))
	}
}

func containerStatus(v *View, c *corev1.Container, old *corev1.ContainerStatus, waits string, init bool, now time.Time) corev1.ContainerStatus {
	newest := v.Newest(c.Name)
	granted := v.Allocated.Of(c)
	cs := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Resources: granted.DeepCopy()}
	if len(granted.Requests) > 0 {
		cs.AllocatedResources = granted.Requests.DeepCopy()
	}
	cs.VolumeMounts = volumeMounts(c)
	if newest == nil {
		withoutInstance(v, c, old, &cs, waits, now)
		return cs
	}
	fromInstance(v, newest, &cs)
	starting := v.busy(StartContainer, c.Name)
	switch {
	case newest.Running() && !starting:
		cs.State.Running = &corev1.ContainerStateRunning{StartedAt: timeOf(newest.Status.GetStartedAt())}
		cs.LastTerminationState = lastEnd(v, c.Name, 1)
	case newest.Exited() && !starting:
		ended(v, c, newest, &cs, init, now)
	default:
		// While it is being started again, the newest that is known has ended.
		cs.State.Waiting = waiting(v, c.Name, waits)
		cs.LastTerminationState = lastEnd(v, c.Name, 0)
	}
	if given, ok := v.Resized[newest.ID()]; ok && newest.Running() {
		cs.Resources = given.DeepCopy()
	}
	started := v.started(c, newest)
	cs.Started = &started
	cs.Ready = v.ready(c, newest)
	if init && !render.IsSidecar(c) {
		notStarted := false
		cs.Started = &notStarted
		cs.Ready = cs.State.Terminated != nil && cs.State.Terminated.ExitCode == 0
	}
	return cs
}

// withoutInstance is the status of a container that the runtime knows nothing
// of: it has not run yet, or what ran was lost with the runtime's memory.
func withoutInstance(v *View, c *corev1.Container, old *corev1.ContainerStatus, cs *corev1.ContainerStatus, waits string, now time.Time) {
	started := false
	cs.Started = &started
	if old != nil && old.ContainerID != "" {
		carryOver(v, c, old, cs, waits, now)
		return
	}
	cs.State.Waiting = waiting(v, c.Name, waits)
}

// carryOver keeps what the API knew of a container that is gone from the
// runtime; one that ran is taken as killed.
func carryOver(v *View, c *corev1.Container, old, cs *corev1.ContainerStatus, waits string, now time.Time) {
	cs.RestartCount, cs.ImageID, cs.ContainerID = old.RestartCount, old.ImageID, old.ContainerID
	cs.LastTerminationState = old.LastTerminationState
	switch {
	case old.State.Terminated != nil:
		cs.State = old.State
		cs.Ready = old.Ready && old.State.Terminated.ExitCode == 0
	case old.State.Running != nil:
		lost := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: exitLost, Reason: reasonLost, Message: "The container could not be located when the pod was terminated",
			StartedAt: old.State.Running.StartedAt, ContainerID: old.ContainerID,
		}}
		never := v.Pod.Spec.RestartPolicy == corev1.RestartPolicyNever && !render.IsSidecar(c)
		if v.Stop != nil || never || Terminal(v, now) {
			cs.State = lost
			return
		}
		cs.LastTerminationState = lost
		cs.State.Waiting = waiting(v, c.Name, waits)
	default:
		cs.State.Waiting = waiting(v, c.Name, waits)
	}
}

func fromInstance(v *View, i *Instance, cs *corev1.ContainerStatus) {
	st := i.Status
	cs.RestartCount = int32(i.Attempt())
	cs.ContainerID = v.RuntimeName + "://" + st.GetId()
	cs.ImageID = st.GetImageRef()
	if cs.ImageID == "" {
		cs.ImageID = st.GetImageId()
	}
	if image := st.GetImage().GetUserSpecifiedImage(); image != "" {
		cs.Image = image
	}
	if u := st.GetUser().GetLinux(); u != nil {
		cs.User = &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{
			UID: u.GetUid(), GID: u.GetGid(), SupplementalGroups: u.GetSupplementalGroups(),
		}}
	}
}

// ended words the state of a container whose newest instance has ended: for
// good, or until it may run again.
func ended(v *View, c *corev1.Container, i *Instance, cs *corev1.ContainerStatus, init bool, now time.Time) {
	end := corev1.ContainerState{Terminated: terminated(v, i)}
	again := v.Stop == nil && !Terminal(v, now) && v.again(c, init, i) && !isEphemeral(v.Pod, c.Name)
	w, failed := v.Waiting[c.Name]
	switch {
	case !again:
	case failed:
		cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}
		cs.LastTerminationState = end
		return
	case !v.crashWait(c.Name, i, now).IsZero():
		cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: crashMessage(v, c.Name)}
		cs.LastTerminationState = end
		return
	}
	cs.State = end
	cs.LastTerminationState = lastEnd(v, c.Name, 1)
}

func isEphemeral(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}

// crashMessage words the wait of a container that keeps ending.
func crashMessage(v *View, container string) string {
	return fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", v.Crash[container].Delay, container, PodRef(v.Pod))
}

// PodRef names a pod in messages.
func PodRef(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

func waiting(v *View, name, fallback string) *corev1.ContainerStateWaiting {
	if w, ok := v.Waiting[name]; ok {
		return &corev1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}
	}
	return &corev1.ContainerStateWaiting{Reason: fallback}
}

// lastEnd is the end of the container's instance before the newest.
func lastEnd(v *View, name string, from int) corev1.ContainerState {
	list := v.Instances[name]
	for n := from; n < len(list); n++ {
		if list[n].Exited() {
			return corev1.ContainerState{Terminated: terminated(v, list[n])}
		}
	}
	return corev1.ContainerState{}
}

func terminated(v *View, i *Instance) *corev1.ContainerStateTerminated {
	st := i.Status
	t := &corev1.ContainerStateTerminated{
		ExitCode: st.GetExitCode(), Reason: st.GetReason(), Message: i.Message,
		StartedAt: timeOf(st.GetStartedAt()), FinishedAt: timeOf(st.GetFinishedAt()),
		ContainerID: v.RuntimeName + "://" + st.GetId(),
	}
	if t.Message == "" && st.GetReason() != "Completed" && st.GetReason() != "Error" {
		t.Message = st.GetMessage()
	}
	return t
}

func timeOf(nanos int64) metav1.Time {
	if nanos == 0 {
		return metav1.Time{}
	}
	// The API keeps whole seconds.
	return metav1.Unix(nanos/int64(time.Second), 0)
}

// volumeMounts tells how volumes are mounted (KEP-3857).
func volumeMounts(c *corev1.Container) []corev1.VolumeMountStatus {
	var out []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &mode
		}
		out = append(out, s)
	}
	return out
}
