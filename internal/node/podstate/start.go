package podstate

import (
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// initialise moves the init containers on and tells whether the pod's
// containers may run in the sandbox.
func (p *planner) initialise(sandbox string) bool {
	if p.v.initialised(sandbox) {
		// Later only sidecars are kept running.
		for i := range p.v.Pod.Spec.InitContainers {
			if c := &p.v.Pod.Spec.InitContainers[i]; render.IsSidecar(c) {
				p.keep(c, sandbox, true)
			}
		}
		return true
	}
	reached := p.v.lastInit(sandbox)
	for i := range p.v.Pod.Spec.InitContainers {
		c := &p.v.Pod.Spec.InitContainers[i]
		if i < reached {
			// It was over, or had started, when the one after it was made.
			if render.IsSidecar(c) {
				p.keep(c, sandbox, true)
			}
			continue
		}
		if !p.initStep(c, sandbox) {
			return false
		}
	}
	return true
}

// lastInit is the place of the last init container that was made in the
// sandbox; zero where none was.
func (v *View) lastInit(sandbox string) int {
	last := 0
	for i := range v.Pod.Spec.InitContainers {
		if v.in(v.Pod.Spec.InitContainers[i].Name, sandbox) != nil {
			last = i
		}
	}
	return last
}

// initialised tells that init containers are over in this sandbox: one of the
// pod's containers was made in it already.
func (v *View) initialised(sandbox string) bool {
	for i := range v.Pod.Spec.Containers {
		if v.in(v.Pod.Spec.Containers[i].Name, sandbox) != nil {
			return true
		}
	}
	return false
}

// initStep moves one init container on and tells whether the next may run.
func (p *planner) initStep(c *corev1.Container, sandbox string) bool {
	i := p.v.in(c.Name, sandbox)
	if render.IsSidecar(c) {
		p.keep(c, sandbox, true)
		return p.v.started(c, i)
	}
	if i != nil && i.Exited() && i.Status.GetExitCode() == 0 && !p.v.busy(StartContainer, c.Name) {
		return true
	}
	p.keep(c, sandbox, true)
	return false
}

// keep starts a container that does not run and should.
func (p *planner) keep(c *corev1.Container, sandbox string, init bool) {
	i := p.v.in(c.Name, sandbox)
	if p.v.busy(StartContainer, c.Name) || (i != nil && i.mayRun()) {
		return
	}
	last := p.v.Newest(c.Name)
	switch {
	case last != nil && last.mayRun():
		return // of an old sandbox; newSandbox stops those
	case init && i == nil:
		// A new sandbox runs its init containers anew, whatever came of the old ones.
	case last != nil && last.Exited() && !p.v.again(c, init, last):
		return
	}
	if until := p.v.crashWait(c.Name, last, p.now); !until.IsZero() && !(init && i == nil) {
		p.wake(until)
		return
	}
	p.start(c)
}

// start plans the pull of the container's image and then its start, keeping
// the order of the spec.
func (p *planner) start(c *corev1.Container) {
	if !p.due(c.Name) {
		return
	}
	if _, ok := p.v.Images[c.Name]; !ok {
		p.do(Action{Op: Op{Kind: PullImage, Target: c.Name}, Container: c.Name})
		p.blocked = true
		return
	}
	if p.blocked {
		return
	}
	p.blocked = true
	p.do(Action{Op: Op{Kind: StartContainer, Target: c.Name}, Container: c.Name, Attempt: p.v.nextAttempt(c.Name)})
}

// nextAttempt numbers the next run of a container; where the runtime lost the
// runs before, the status that the API holds counts on.
func (v *View) nextAttempt(name string) uint32 {
	if i := v.Newest(name); i != nil {
		return i.Attempt() + 1
	}
	if s := FindStatus(&v.Pod.Status, name); s != nil && s.ContainerID != "" {
		return uint32(s.RestartCount) + 1
	}
	return 0
}

// FindStatus is the status of the container of that name, or nil.
func FindStatus(s *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// ephemeral starts ephemeral containers that never ran; they are never
// restarted, and wait for nothing but their image.
func (p *planner) ephemeral(sandbox string) {
	blocked := p.blocked
	for i := range p.v.Pod.Spec.EphemeralContainers {
		c := (*corev1.Container)(&p.v.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if p.v.Newest(c.Name) == nil && !p.v.busy(StartContainer, c.Name) {
			p.start(c)
		}
		p.blocked = blocked
	}
}

// readySandboxes are those of the pod that are still up.
func (v *View) readySandboxes() []*runtimeapi.PodSandboxStatus {
	var out []*runtimeapi.PodSandboxStatus
	for _, s := range v.Sandboxes {
		if s.GetState() == runtimeapi.PodSandboxState_SANDBOX_READY {
			out = append(out, s)
		}
	}
	return out
}
