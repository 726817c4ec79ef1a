package scheduler

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	helpers "k8s.io/component-helpers/resource"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// handle takes one message into the state.
func (s *Scheduler) handle(m message) {
	now := time.Now()
	switch m.kind {
	case nodeMessage:
		s.nodeChanged(m.oldNode, m.newNode, now)
	case podMessage:
		s.podChanged(m.oldPod, m.newPod, now)
	case unboundMessage:
		s.unbound(m, now)
	case releasedMessage:
		s.released(m, now)
	case retryMessage:
		delete(s.nominated.chosen, m.uid)
		s.queue.Wake(m.uid, now)
	case objectMessage:
		s.devices.observe(m.event)
		s.queue.Happened(m.event, now)
	}
}

// released ends the promises of a pod's needs. Who waited for a claim that was
// being allocated may look again.
func (s *Scheduler) released(m message, now time.Time) {
	if m.needs.volumes != nil {
		s.volumes.release(m.needs.volumes)
	}
	if m.needs.devices == nil {
		return
	}
	for _, claim := range m.written {
		if !s.devices.gone(claim) { // nobody would tell of its going once more
			s.devices.ledger.Put(claim)
		}
	}
	for _, claim := range s.devices.ledger.Release(m.needs.devices) {
		held := claim.DeepCopy()
		held.Status.Allocation = &resourcev1.AllocationResult{} // so that it is seen to be freed
		s.queue.Happened(framework.Event{Kind: framework.ObjectChanged, Old: held, New: claim}, now)
	}
	for i := range m.needs.devices.Claims {
		c := &m.needs.devices.Claims[i]
		shown := c.Claim
		for _, w := range m.written {
			if w.UID == shown.UID {
				shown = w
			}
		}
		if c.Allocation != nil {
			s.queue.Happened(framework.Event{Kind: framework.ObjectChanged, New: shown}, now)
		}
	}
}

func (s *Scheduler) nodeChanged(old, new *corev1.Node, now time.Time) {
	switch {
	case new == nil:
		s.cluster.remove(old.Name)
		s.queue.Happened(framework.Event{Kind: framework.NodeRemoved, OldNode: old}, now)
	case old == nil:
		s.cluster.set(new)
		s.queue.Happened(framework.Event{Kind: framework.NodeAdded, NewNode: new}, now)
	default:
		s.cluster.set(new)
		s.queue.Happened(framework.Event{Kind: framework.NodeChanged, OldNode: old, NewNode: new}, now)
	}
}

func (s *Scheduler) podChanged(old, new *corev1.Pod, now time.Time) {
	switch {
	case new == nil:
		s.drop(old)
		s.free(old, now)
	case new.Status.Phase == corev1.PodSucceeded || new.Status.Phase == corev1.PodFailed:
		s.drop(new)
		s.free(new, now)
	case new.Spec.NodeName != "":
		s.drop(new)
		s.place(old, new, now)
	case new.DeletionTimestamp != nil: // it will not be bound, though a finalizer may keep it
		s.drop(new)
		s.free(new, now)
	case s.profiles[new.Spec.SchedulerName] != nil:
		if _, assumed := s.placed[new.UID]; !assumed {
			s.wait(old, new, now)
		}
	}
}

// drop forgets a waiting pod.
func (s *Scheduler) drop(pod *corev1.Pod) {
	s.queue.Drop(pod.UID)
	s.leave(pod, "")
	delete(s.nominated.chosen, pod.UID)
}

// wait puts a pod into the queue, or brings a newer version there. A change of
// status alone is no reason to look again.
func (s *Scheduler) wait(old, new *corev1.Pod, now time.Time) {
	if old == nil || old.Status.NominatedNodeName != new.Status.NominatedNodeName {
		if node := new.Status.NominatedNodeName; node != s.nominated.byPod[new.UID] {
			s.nominate(framework.NewPod(new), node)
		}
	}
	if old != nil && s.queue.Has(new.UID) && old.Generation == new.Generation &&
		maps.Equal(old.Labels, new.Labels) && len(old.Spec.SchedulingGates) == len(new.Spec.SchedulingGates) &&
		len(old.Spec.Tolerations) == len(new.Spec.Tolerations) &&
		resourceclaim.PodStatusEqual(old.Status.ResourceClaimStatuses, new.Status.ResourceClaimStatuses) {
		return
	}
	s.queue.Set(framework.NewPod(new), now)
}

// place counts a pod on its node. One that we assumed there is confirmed.
func (s *Scheduler) place(old, new *corev1.Pod, now time.Time) {
	have, known := s.placed[new.UID]
	if known && have.node == new.Spec.NodeName && !recount(have.pod, new) {
		s.cluster.renewPod(have.node, new)
		s.placed[new.UID] = placement{node: have.node, pod: new}
		if !have.assumed && old != nil && maps.Equal(old.Labels, new.Labels) {
			return
		}
	} else {
		if known {
			s.cluster.removePod(have.node, new.UID)
		}
		s.cluster.addPod(new.Spec.NodeName, new, framework.UsageOf(new))
		s.placed[new.UID] = placement{node: new.Spec.NodeName, pod: new}
		if known {
			s.queue.Happened(framework.Event{Kind: framework.PodFreed, OldPod: have.pod, NewPod: new}, now)
		}
	}
	s.queue.Happened(framework.Event{Kind: framework.PodAssigned, OldPod: old, NewPod: new}, now)
}

// recount tells whether the pod must be counted anew.
func recount(old, new *corev1.Pod) bool {
	return resized(old, new) || !maps.Equal(old.Labels, new.Labels) ||
		(old.DeletionTimestamp == nil) != (new.DeletionTimestamp == nil)
}

// resized tells whether what a pod takes may have changed: by what it asks for,
// was granted or has, or because its node says that it will not grant it.
func resized(old, new *corev1.Pod) bool {
	a, b := &old.Status, &new.Status
	return old.Generation != new.Generation || helpers.IsPodResizeInfeasible(old) != helpers.IsPodResizeInfeasible(new) ||
		anyChanged(a.AllocatedResources, b.AllocatedResources) || anyChanged(requestsOf(a.Resources), requestsOf(b.Resources)) ||
		anyResized(a.ContainerStatuses, b.ContainerStatuses) || anyResized(a.InitContainerStatuses, b.InitContainerStatuses)
}

func anyResized(old, new []corev1.ContainerStatus) bool {
	for i := range new {
		if i >= len(old) {
			return false // the agent reports for the first time
		}
		a, b := &old[i], &new[i]
		if anyChanged(a.AllocatedResources, b.AllocatedResources) || anyChanged(requestsOf(a.Resources), requestsOf(b.Resources)) {
			return true
		}
	}
	return false
}

// anyChanged does not count what is told for the first time: it is what was
// asked for.
func anyChanged(old, new corev1.ResourceList) bool {
	for name, q := range new {
		if was, ok := old[name]; ok && was.Cmp(q) != 0 {
			return true
		}
	}
	return false
}

func requestsOf(r *corev1.ResourceRequirements) corev1.ResourceList {
	if r == nil {
		return nil
	}
	return r.Requests
}

// free takes a pod off its node.
func (s *Scheduler) free(pod *corev1.Pod, now time.Time) {
	have, known := s.placed[pod.UID]
	if !known {
		return
	}
	delete(s.placed, pod.UID)
	s.cluster.removePod(have.node, pod.UID)
	s.queue.Happened(framework.Event{Kind: framework.PodFreed, OldPod: have.pod}, now)
}
