package worker

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/probe"
	"github.com/knarr-io/knarr/internal/node/render"
)

type probeKey struct {
	instance string
	kind     probe.Kind
}

// prober is a probe that runs.
type prober struct{ cancel context.CancelFunc }

// syncProbes starts the probes that should run and stops the others.
func (w *Worker) syncProbes() {
	wanted := map[probeKey]bool{}
	for c := range render.Containers(w.view.Pod) {
		if c.LivenessProbe == nil && c.ReadinessProbe == nil && c.StartupProbe == nil {
			continue
		}
		i := w.view.Newest(c.Name)
		if i == nil || !i.Running() {
			continue
		}
		if _, starting := w.view.Ops[podstate.Op{Kind: podstate.StartContainer, Target: c.Name}]; starting {
			continue
		}
		w.wantProbes(c, i, wanted)
	}
	for key, p := range w.probes {
		if !wanted[key] {
			p.cancel()
			delete(w.probes, key)
		}
	}
}

func (w *Worker) wantProbes(c *corev1.Container, i *podstate.Instance, wanted map[probeKey]bool) {
	state := w.view.Probes[i.ID()]
	ending := w.view.Stop != nil
	if c.StartupProbe != nil && !state.Started {
		if !ending && state.Failed == "" {
			w.ensureProbe(c, i, probe.Startup, c.StartupProbe, false, wanted)
		}
		return
	}
	if c.LivenessProbe != nil && !ending && state.Failed == "" {
		w.ensureProbe(c, i, probe.Liveness, c.LivenessProbe, true, wanted)
	}
	if c.ReadinessProbe != nil {
		w.ensureProbe(c, i, probe.Readiness, c.ReadinessProbe, state.Ready, wanted)
	}
}

func (w *Worker) ensureProbe(c *corev1.Container, i *podstate.Instance, kind probe.Kind, spec *corev1.Probe, verdict bool, wanted map[probeKey]bool) {
	key := probeKey{i.ID(), kind}
	wanted[key] = true
	if w.probes[key] != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.probes[key] = &prober{cancel: cancel}
	pod, name := w.view.Pod, c.Name
	try, err := probe.NewTry(probe.Target{Runtime: w.deps.Runtime, Container: c, ID: i.ID(), PodIP: first(w.view.PodIPs())}, spec)
	if err != nil {
		try = func(context.Context) (probe.Outcome, string) { return probe.Unknown, err.Error() }
	}
	r := &probe.Runner{
		Kind: kind, Spec: spec, Try: try, First: verdict,
		Started: time.Unix(0, i.Status.GetStartedAt()),
		Changed: func(ok bool, _ string) { w.post(func() { w.probed(key, ok) }) },
		Event: func(reason, message string) {
			w.deps.containerEvent(pod, name, corev1.EventTypeWarning, reason, message)
		},
		Tried: func(out probe.Outcome, took time.Duration) {
			w.deps.Metrics.Probed(pod, name, string(kind), probeResult(out), took)
		},
	}
	w.ops.Go(func() { r.Run(ctx) })
}

func probeResult(out probe.Outcome) string {
	switch out {
	case probe.Success, probe.Warning:
		return measure.ProbeSuccessful
	case probe.Failure:
		return measure.ProbeFailed
	}
	return measure.ProbeUnknown
}

// probed takes in a verdict, unless the instance has ended since.
func (w *Worker) probed(key probeKey, ok bool) {
	if w.probes[key] == nil {
		return
	}
	p := w.view.Probes[key.instance]
	switch key.kind {
	case probe.Startup:
		if p.Started = ok; !ok {
			p.Failed = "startup"
		}
	case probe.Liveness:
		if !ok {
			p.Failed = "liveness"
		}
	case probe.Readiness:
		p.Ready = ok
	}
	w.view.Probes[key.instance] = p
}

func (w *Worker) stopProbes() {
	for key, p := range w.probes {
		p.cancel()
		delete(w.probes, key)
	}
}

// adoptProbes starts from what the API says of instances that ran before this
// agent: they stay ready until a probe says otherwise.
func (w *Worker) adoptProbes() {
	for name, list := range w.view.Instances {
		for _, i := range list {
			if !i.Running() {
				continue
			}
			if c := render.Find(w.view.Pod, name); c != nil {
				w.view.Resized[i.ID()] = w.adoptedResources(c)
			}
			if s := podstate.FindStatus(&w.view.Pod.Status, name); s != nil && s.ContainerID == w.view.RuntimeName+"://"+i.ID() {
				w.view.Probes[i.ID()] = podstate.Probe{Started: s.Started != nil && *s.Started, Ready: s.Ready}
			}
		}
	}
}

// adoptedResources are what the API says that a container runs with, else
// what it was granted.
func (w *Worker) adoptedResources(c *corev1.Container) corev1.ResourceRequirements {
	if s := podstate.FindStatus(&w.view.Pod.Status, c.Name); s != nil && s.Resources != nil && s.State.Running != nil {
		return *s.Resources
	}
	return w.view.Allocated.Of(c)
}
