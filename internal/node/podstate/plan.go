package podstate

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// deadPerContainer is how many ended instances of a container are kept beside
// the newest, for `logs --previous` and lastState.
const deadPerContainer = 1

// Plan is what to do now.
type Plan struct {
	// Actions are independent of each other and may run at the same time.
	Actions []Action
	// Wake is when to ask again even if nothing happens; zero: not by time.
	Wake time.Time
	// Done is set when nothing of the pod is left on the node.
	Done bool
}

type planner struct {
	v   *View
	now time.Time
	Plan
	// blocked is set once a container has to start before those after it.
	blocked bool
}

// Next decides what to do for the pod at the given time.
func Next(v *View, now time.Time) Plan {
	p := &planner{v: v, now: now, blocked: v.busyWith(StartContainer)}
	switch {
	case v.Stop != nil:
		p.stop()
	case Terminal(v, now):
		p.settle()
	default:
		p.wake(deadline(v))
		p.run()
	}
	p.collect()
	return p.Plan
}

func (p *planner) wake(at time.Time) {
	if !at.IsZero() && at.After(p.now) && (p.Wake.IsZero() || at.Before(p.Wake)) {
		p.Wake = at
	}
}

// do plans an action unless it is under way.
func (p *planner) do(a Action) {
	planned := func(b Action) bool { return a.Op == b.Op }
	if !p.v.busy(a.Kind, a.Target) && !slices.ContainsFunc(p.Actions, planned) {
		p.Actions = append(p.Actions, a)
	}
}

// due tells whether the named thing may be tried again, and arranges to ask
// again when it may not.
func (p *planner) due(name string) bool {
	at := p.v.NotBefore[name]
	if p.now.Before(at) {
		p.wake(at)
		return false
	}
	return true
}

// run brings a pod up, or keeps it up.
func (p *planner) run() {
	v := p.v
	if !v.VolumesReady {
		if p.due("") {
			p.do(Action{Op: Op{Kind: MountVolumes}})
		}
		return
	}
	sandbox := v.Sandbox()
	if sandbox == nil {
		p.newSandbox()
		return
	}
	id := sandbox.GetId()
	if v.NeedsAdmission && v.Admitted != id {
		// Images are pulled meanwhile.
		p.blocked = true
		if p.due(AdmitKey) {
			p.do(Action{Op: Op{Kind: AdmitSandbox, Target: id}})
		}
	}
	p.restartUnhealthy()
	p.ephemeral(id)
	if p.initialise(id) {
		for i := range v.Pod.Spec.Containers {
			p.keep(&v.Pod.Spec.Containers[i], id, false)
		}
	}
}

// newSandbox makes a first sandbox, or one in place of one that died, after
// what ran in the old one has ended.
func (p *planner) newSandbox() {
	v := p.v
	attempt := uint32(0)
	if len(v.Sandboxes) > 0 {
		attempt = v.Sandboxes[0].GetMetadata().GetAttempt() + 1
		if v.anyRunning() {
			p.stopRunning(v.podGrace(), "Pod sandbox changed, it will be killed and re-created.")
			return
		}
	}
	if p.due("") {
		p.do(Action{Op: Op{Kind: RunSandbox}, Attempt: attempt})
	}
}

func (v *View) podGrace() time.Duration {
	if s := v.Pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second
}

func (p *planner) stopRunning(grace time.Duration, message string) {
	for name, list := range p.v.Instances {
		for _, i := range list {
			if i.mayRun() {
				p.do(Action{Op: Op{Kind: StopContainer, Target: i.ID()}, Container: name, Grace: grace, Message: message})
			}
		}
	}
}

// restartUnhealthy stops instances that their probes gave up on, that the
// runtime lost track of, or whose definition has changed, and gives changed
// resources to the others.
func (p *planner) restartUnhealthy() {
	p.resizeWhole()
	for c := range render.Containers(p.v.Pod) {
		i := p.v.Newest(c.Name)
		if i == nil || !i.mayRun() || p.v.busy(StartContainer, c.Name) {
			continue
		}
		failed := p.v.Probes[i.ID()].Failed
		switch {
		case i.Unknown():
			p.replace(c, i, `Container is in "unknown" state, try killing it before restart`)
		case failed != "":
			p.stopOne(c, i, probeGrace(p.v, c, failed), fmt.Sprintf("Container %s failed %s probe, will be restarted", c.Name, failed))
		case outdated(c, i):
			p.replace(c, i, fmt.Sprintf("Container %s definition changed, will be restarted", c.Name))
		default:
			p.resize(c, i)
		}
	}
}

// replace stops an instance that is to be made anew.
func (p *planner) replace(c *corev1.Container, i *Instance, message string) {
	if p.due(i.ID()) {
		p.do(Action{Op: Op{Kind: StopContainer, Target: i.ID()}, Container: c.Name, Grace: p.v.podGrace(), Message: message, Replace: true})
	}
}

func (p *planner) stopOne(c *corev1.Container, i *Instance, grace time.Duration, message string) {
	if !p.due(i.ID()) {
		return
	}
	p.do(Action{Op: Op{Kind: StopContainer, Target: i.ID()}, Container: c.Name, Grace: grace, Message: message})
}

func probeGrace(v *View, c *corev1.Container, failed string) time.Duration {
	probe := c.LivenessProbe
	if failed == "startup" {
		probe = c.StartupProbe
	}
	if probe != nil && probe.TerminationGracePeriodSeconds != nil {
		return time.Duration(*probe.TerminationGracePeriodSeconds) * time.Second
	}
	return v.podGrace()
}

// collect removes ended instances beyond those that are kept.
func (p *planner) collect() {
	keep := deadPerContainer
	if p.v.Lean {
		keep = 0
	}
	for name, list := range p.v.Instances {
		dead := 0
		for n, i := range list {
			if n == 0 || i.mayRun() {
				continue
			}
			if i.Exited() {
				dead++
			}
			// One that was made and never started is left over from an agent
			// that was killed in between.
			if dead > keep || !i.Exited() {
				p.do(Action{Op: Op{Kind: RemoveContainer, Target: i.ID()}, Container: name})
			}
		}
	}
}
