package podstate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/node/render"
)

// resizing tells whether an instance runs with other resources than its
// container was granted.
func (v *View) resizing(c *corev1.Container, i *Instance) bool {
	given, known := v.Resized[i.ID()]
	return known && !sameResources(given, v.Allocated.Of(c))
}

// wholeResizing tells whether the pod's cgroup has other limits than the pod
// as a whole was granted.
func (v *View) wholeResizing() bool {
	whole := v.Allocated.Whole(v.Pod)
	return whole != nil && v.Whole != nil && !sameResources(*whole, *v.Whole)
}

// Resizing is what clients wait for to pass before they take a resize for
// done: a status of the new generation without it would say so too early.
func Resizing(v *View) bool {
	if v.Allocated.Asks(v.Pod) && v.pending() == nil {
		return true // not decided yet
	}
	if v.wholeResizing() {
		return true
	}
	for c := range render.Containers(v.Pod) {
		if i := v.Newest(c.Name); i != nil && i.Running() && v.resizing(c, i) {
			return true
		}
	}
	return false
}

// pending is why the pod does not have what it asks for; nil when it does, or
// when that is not decided of its present spec.
func (v *View) pending() *Pending {
	if v.Pending == nil || v.Pending.Generation != v.Pod.Generation || !v.Allocated.Asks(v.Pod) {
		return nil
	}
	return v.Pending
}

// resizeConditions tell how far a resize is.
func resizeConditions(v *View) []corev1.PodCondition {
	var out []corev1.PodCondition
	if p := v.pending(); p != nil {
		out = append(out, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: p.Reason, Message: p.Message})
	}
	if !Resizing(v) {
		return out
	}
	c := corev1.PodCondition{Type: corev1.PodResizeInProgress, Status: corev1.ConditionTrue}
	if message := v.ResizeFailed[WholeKey]; message != "" {
		c.Reason, c.Message = corev1.PodReasonError, message
	}
	for container := range render.Containers(v.Pod) {
		i := v.Newest(container.Name)
		if i != nil && v.ResizeFailed[i.ID()] != "" {
			c.Reason, c.Message = corev1.PodReasonError, v.ResizeFailed[i.ID()]
		}
	}
	return append(out, c)
}

// resize gives a running instance what its container was granted: in place,
// or by running it anew where its resizePolicy says so.
func (p *planner) resize(c *corev1.Container, i *Instance) {
	if !p.v.resizing(c, i) {
		return
	}
	if restartsOnResize(c, p.v.Resized[i.ID()], p.v.Allocated.Of(c)) {
		p.replace(c, i, fmt.Sprintf("Container %s resize requires restart", c.Name))
		return
	}
	if p.due(i.ID()) {
		p.do(Action{Op: Op{Kind: ResizeContainer, Target: i.ID()}, Container: c.Name})
	}
}

// resizeWhole gives the pod's cgroup what the pod as a whole was granted.
func (p *planner) resizeWhole() {
	if p.v.wholeResizing() && p.due(WholeKey) {
		p.do(Action{Op: Op{Kind: ResizeContainer, Target: WholeKey}})
	}
}

func restartsOnResize(c *corev1.Container, was, is corev1.ResourceRequirements) bool {
	for _, policy := range c.ResizePolicy {
		name := policy.ResourceName
		if policy.RestartPolicy == corev1.RestartContainer && (changed(was.Requests, is.Requests, name) || changed(was.Limits, is.Limits, name)) {
			return true
		}
	}
	return false
}

func changed(was, is corev1.ResourceList, name corev1.ResourceName) bool {
	a, b := was[name], is[name]
	return a.Cmp(b) != 0
}

// wholeResources tells what a pod with resources of its own was granted, and
// what its cgroup has (KEP-5419).
func wholeResources(v *View, s *corev1.PodStatus) {
	s.Resources, s.AllocatedResources = nil, nil
	granted := v.Allocated.Whole(v.Pod)
	if granted == nil {
		return
	}
	s.AllocatedResources = resourcehelper.PodRequests(v.Allocated.Apply(v.Pod), resourcehelper.PodResourcesOptions{})
	if v.Whole != nil {
		s.Resources = v.Whole.DeepCopy()
	}
}
