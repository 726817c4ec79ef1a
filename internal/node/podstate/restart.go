package podstate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// restarts tells whether a container that ended with the code is run again,
// by its own rules (KEP-5307), its own policy, or the pod's.
func restarts(pod *corev1.Pod, c *corev1.Container, init bool, code int32) bool {
	for _, rule := range c.RestartPolicyRules {
		if rule.ExitCodes != nil && matches(rule.ExitCodes, code) {
			return rule.Action == corev1.ContainerRestartRuleActionRestart
		}
	}
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	if init && policy == corev1.RestartPolicyAlways && !render.IsSidecar(c) {
		policy = corev1.RestartPolicyOnFailure
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

func matches(e *corev1.ContainerRestartRuleOnExitCodes, code int32) bool {
	in := slices.Contains(e.Values, code)
	return in == (e.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
}

// crashWait is until when a container that ended has to wait; zero when it
// may run now. One that was defined anew does not pay for what it was before.
func (v *View) crashWait(name string, i *Instance, now time.Time) time.Time {
	if i == nil || !i.Exited() {
		return time.Time{}
	}
	if c := render.Find(v.Pod, name); c != nil && v.superseded(c, i) {
		return time.Time{}
	}
	if until := i.WaitsUntil(v.Crash[name]); now.Before(until) {
		return until
	}
	return time.Time{}
}

// CrashAfter is the back-off of a container that is started at now, after the
// end of last (nil: of none).
func (v *View) CrashAfter(c *corev1.Container, last *Instance, now time.Time) Backoff {
	switch {
	case last == nil || !last.Exited():
		return v.Crash[c.Name]
	case v.superseded(c, last):
		return Backoff{}
	}
	next := v.Crash[c.Name].Next(last.ended(), now)
	if v.CrashDelay > 0 {
		next.Delay = min(next.Delay, v.CrashDelay)
	}
	return next
}

// superseded tells that what becomes of the instance says nothing of the next.
func (v *View) superseded(c *corev1.Container, i *Instance) bool {
	return v.Replaced[i.ID()] || outdated(c, i)
}

// again tells whether a container is run again after an instance that ended.
func (v *View) again(c *corev1.Container, init bool, i *Instance) bool {
	return v.Replaced[i.ID()] || restarts(v.Pod, c, init, i.Status.GetExitCode())
}

// ended tells whether the container has an end that is final.
func (v *View) ended(c *corev1.Container, init bool) bool {
	i := v.Newest(c.Name)
	return i != nil && i.Exited() && !v.busy(StartContainer, c.Name) &&
		!v.again(c, init, i)
}

// Terminal tells whether the pod has ended by itself or by verdict: nothing
// of it is started again.
func Terminal(v *View, now time.Time) bool {
	if v.Verdict != nil || expired(v, now) {
		return true
	}
	switch v.Pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed:
		return true
	}
	if initFailed(v) {
		return true
	}
	for i := range v.Pod.Spec.Containers {
		if !v.ended(&v.Pod.Spec.Containers[i], false) {
			return false
		}
	}
	return len(v.Pod.Spec.Containers) > 0
}

// initFailed tells that an init container failed for good.
func initFailed(v *View) bool {
	for i := range v.Pod.Spec.InitContainers {
		c := &v.Pod.Spec.InitContainers[i]
		if !render.IsSidecar(c) && v.ended(c, true) && v.Newest(c.Name).Status.GetExitCode() != 0 {
			return true
		}
	}
	return false
}

// deadline is when activeDeadlineSeconds ends the pod; zero for never.
func deadline(v *View) time.Time {
	if v.Pod.Spec.ActiveDeadlineSeconds == nil {
		return time.Time{}
	}
	start := v.startTime()
	if start.IsZero() {
		return time.Time{}
	}
	return start.Add(time.Duration(*v.Pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

func expired(v *View, now time.Time) bool {
	d := deadline(v)
	return !d.IsZero() && !now.Before(d)
}

func (v *View) startTime() time.Time {
	if v.Pod.Status.StartTime != nil {
		return v.Pod.Status.StartTime.Time
	}
	return v.FirstSeen
}
