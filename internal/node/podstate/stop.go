package podstate

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// minGrace is what a container gets at least between its stop signal and its
// kill, where it gets any: a slow preStop hook does not take it all.
const minGrace = 2 * time.Second

// stop ends a pod that was deleted: endpoint out of the rules, containers,
// sidecars, sandbox, volumes.
func (p *planner) stop() {
	v := p.v
	// What was being started is cancelled by the worker and reports its end.
	if v.busyWith(RunSandbox, StartContainer) {
		return
	}
	if v.anyRunning() {
		if !v.BeforeStopDone && p.now.Before(v.Stop.Deadline) {
			p.do(Action{Op: Op{Kind: BeforeStop}})
			p.wake(v.Stop.Deadline)
			return
		}
		p.stopInOrder()
		return
	}
	p.release()
}

// settle frees what a pod that ended by itself still holds.
func (p *planner) settle() {
	if p.v.busyWith(RunSandbox, StartContainer) {
		return
	}
	if p.v.anyRunning() {
		p.stopInOrder()
		return
	}
	p.release()
	p.Done = false // the API still holds the pod; its logs and status stay
}

// release stops sandboxes and frees the rest; the pod is done when all is.
// Volumes that hang hold up only their own release.
func (p *planner) release() {
	if p.v.busyWith(AdmitSandbox, PullImage) || !p.due(ReleaseKey) {
		return
	}
	up := p.v.readySandboxes()
	for _, s := range up {
		p.do(Action{Op: Op{Kind: StopSandbox, Target: s.GetId()}})
	}
	if len(up) > 0 || p.v.busyWith(StopContainer, StopSandbox, BeforeStop, MountVolumes) {
		return
	}
	if !p.v.Released {
		p.do(Action{Op: Op{Kind: Release}})
		return
	}
	p.Done = !p.v.busyWith(Release)
}

// stopInOrder stops the pod's containers together, then its sidecars one by
// one, the last first (KEP-753).
func (p *planner) stopInOrder() {
	sidecars, others := p.running()
	for _, i := range others {
		p.stopAtEnd(i)
	}
	if len(others) == 0 && len(sidecars) > 0 {
		p.stopAtEnd(sidecars[len(sidecars)-1])
	}
	deadline := p.v.endBy()
	if len(sidecars) == 0 || deadline.IsZero() {
		return
	}
	if !p.now.Before(deadline) {
		// Out of time: nobody waits for anybody.
		for _, i := range sidecars {
			p.stopAtEnd(i)
		}
	}
	p.wake(deadline)
}

// endBy is when what still runs of an ending pod is killed; zero where each
// container has the pod's grace period.
func (v *View) endBy() time.Time {
	switch {
	case v.Stop != nil:
		return v.Stop.Deadline
	case v.Verdict != nil:
		return v.Verdict.Deadline
	}
	return time.Time{}
}

// Idle tells that nothing of the pod runs or is being started.
func Idle(v *View) bool { return !v.anyRunning() && !v.busyWith(StartContainer) }

// running lists what runs, sidecars in the order of the spec.
func (p *planner) running() (sidecars, others []*Instance) {
	isSidecar := map[string]bool{}
	for i := range p.v.Pod.Spec.InitContainers {
		c := &p.v.Pod.Spec.InitContainers[i]
		if !render.IsSidecar(c) {
			continue
		}
		isSidecar[c.Name] = true
		sidecars = appendRunning(sidecars, p.v.Instances[c.Name])
	}
	for name, list := range p.v.Instances {
		if !isSidecar[name] {
			others = appendRunning(others, list)
		}
	}
	return sidecars, others
}

func appendRunning(out, list []*Instance) []*Instance {
	for _, i := range list {
		if i.mayRun() {
			out = append(out, i)
		}
	}
	return out
}

func (p *planner) stopAtEnd(i *Instance) {
	if !p.due(i.ID()) {
		return
	}
	name := i.Status.GetMetadata().GetName()
	a := Action{
		Op: Op{Kind: StopContainer, Target: i.ID()}, Container: name, Grace: p.v.podGrace(),
		Message: fmt.Sprintf("Stopping container %s", name),
	}
	if p.v.Stop == nil {
		if by := p.v.endBy(); !by.IsZero() {
			a.Grace = max(by.Sub(p.now), 0)
		}
		p.do(a)
		return
	}
	a.Grace = max(p.v.Stop.Deadline.Sub(p.now), 0)
	if p.v.Stop.Deadline.After(p.v.Stop.Since) {
		a.Grace = max(a.Grace, minGrace)
	}
	if p.v.Stop.Reason != "" {
		a.Reason = p.v.Stop.Reason
	}
	// A stop under way is overtaken when the grace was cut meanwhile.
	if ends, ok := p.v.Ops[a.Op]; ok && ends.Sub(p.now) > a.Grace+time.Second {
		p.Actions = append(p.Actions, a)
		return
	}
	p.do(a)
}

// StopFor is the Stop of a pod that was deleted at the API, or is gone from it.
func StopFor(pod *corev1.Pod, gone bool, now time.Time) *Stop {
	grace := int64(30)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		grace = *pod.Spec.TerminationGracePeriodSeconds
	}
	if pod.DeletionGracePeriodSeconds != nil {
		grace = *pod.DeletionGracePeriodSeconds
	}
	if gone {
		// Upstream gives at least a second even when the deletion was forced.
		grace = max(grace, 1)
	}
	return &Stop{Since: now, Deadline: now.Add(time.Duration(grace) * time.Second), Gone: gone}
}
