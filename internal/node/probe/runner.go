package probe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind is what a probe is for.
type Kind string

// The kinds of probes, as they stand in events.
const (
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
	Startup   Kind = "Startup"
)

// Outcome is the result of one try.
type Outcome int

// The outcomes of a try. Warning counts as success and is told in an event;
// Unknown could not be tried and counts for nothing.
const (
	Success Outcome = iota
	Warning
	Failure
	Unknown
)

// Try asks once, within ctx, and says what came back.
type Try func(ctx context.Context) (Outcome, string)

// Runner runs one probe.
type Runner struct {
	Kind Kind
	Spec *corev1.Probe
	Try  Try
	// Started is when the instance started; the initial delay counts from it.
	Started time.Time
	// First is the verdict before the first try.
	First bool
	// Changed is told every change of the verdict, from the runner's goroutine.
	Changed func(ok bool, message string)
	// Event is told about tries that did not succeed.
	Event func(reason, message string)
	// Tried is told of every try and how long it took; may be nil.
	Tried func(out Outcome, took time.Duration)
}

// Run probes until ctx ends or the probe is over: a startup probe that
// succeeded or failed, a liveness probe that failed.
func (r *Runner) Run(ctx context.Context) {
	period := seconds(r.Spec.PeriodSeconds, 10)
	timer := time.NewTimer(time.Until(r.Started.Add(time.Duration(r.Spec.InitialDelaySeconds) * time.Second)))
	defer timer.Stop()
	state := counter{verdict: r.First}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(period)
		out, message := r.once(ctx)
		if ctx.Err() != nil {
			return
		}
		r.tell(out, message)
		if r.count(&state, out) {
			r.Changed(state.verdict, message)
			if r.over(state.verdict) {
				return
			}
		}
	}
}

func (r *Runner) once(ctx context.Context) (Outcome, string) {
	ctx, cancel := context.WithTimeout(ctx, seconds(r.Spec.TimeoutSeconds, 1))
	defer cancel()
	began := time.Now()
	out, message := r.Try(ctx)
	if r.Tried != nil {
		r.Tried(out, time.Since(began))
	}
	return out, message
}

func seconds(n, fallback int32) time.Duration {
	if n <= 0 {
		n = fallback
	}
	return time.Duration(n) * time.Second
}

func (r *Runner) tell(out Outcome, message string) {
	switch out {
	case Failure:
		r.Event("Unhealthy", fmt.Sprintf("%s probe failed: %s", r.Kind, message))
	case Warning:
		r.Event("ProbeWarning", fmt.Sprintf("%s probe warning: %s", r.Kind, message))
	case Unknown:
		r.Event("Unhealthy", fmt.Sprintf("%s probe errored and resulted in unknown state: %s", r.Kind, message))
	}
}

// counter holds a run of equal outcomes.
type counter struct {
	verdict bool
	last    Outcome
	run     int32
}

// count adds an outcome and tells whether the verdict has changed. A failed
// liveness or startup probe is told even though its verdict began as not ok.
func (r *Runner) count(s *counter, out Outcome) bool {
	if out == Unknown {
		return false
	}
	if out == Warning {
		out = Success
	}
	if s.run > 0 && s.last == out {
		s.run++
	} else {
		s.last, s.run = out, 1
	}
	limit, fallback := r.Spec.FailureThreshold, int32(3)
	if out == Success {
		limit, fallback = r.Spec.SuccessThreshold, 1
	}
	if limit <= 0 {
		limit = fallback
	}
	if s.run < limit {
		return false
	}
	ok := out == Success
	changed := ok != s.verdict || (!ok && r.Kind == Startup)
	s.verdict = ok
	return changed
}

// over tells that nothing more follows from probing.
func (r *Runner) over(verdict bool) bool {
	return r.Kind == Startup || (r.Kind == Liveness && !verdict)
}
