package autoscaler

import (
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// input is all that a decision depends on.
type input struct {
	hpa *autoscalingv2.HorizontalPodAutoscaler
	// current is what the target's scale wants, observed what it has.
	current, observed int32
	// selection tells why the target's pods cannot be told; nil where they can.
	selection *failure
	pods      []*corev1.Pod
	readings  []reading // one for each metric of the spec, in order
	past      history
	now       time.Time
}

type event struct{ typ, reason, message string }

// plan is a decision: the scale is to be written where rescale is set, and
// the outcome told by scaled or refused.
type plan struct {
	desired int32
	rescale bool
	reason  string
	status  autoscalingv2.HorizontalPodAutoscalerStatus
	events  []event
	past    history
}

// next decides. It changes nothing of its input.
func next(in input) plan {
	p := plan{desired: in.current, status: *in.hpa.Status.DeepCopy(), past: in.past.begun(in.current, in.now)}
	p.status.ObservedGeneration = nil
	p.set(in.now, autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	kept := p.status.DesiredReplicas
	p.status.CurrentReplicas, p.status.CurrentMetrics = in.current, nil
	least, most := minimum(in.hpa), in.hpa.Spec.MaxReplicas
	switch {
	case in.current == 0:
		p.set(in.now, autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
	case in.current > most:
		p.desired, p.reason = most, "Current number of replicas above Spec.MaxReplicas"
	case in.current < least:
		p.desired, p.reason = least, "Current number of replicas below Spec.MinReplicas"
	default:
		if !p.follow(in) {
			p.status.DesiredReplicas = kept
			return p
		}
	}
	p.rescale = p.desired != in.current
	p.status.DesiredReplicas = p.desired
	return p
}

// follow takes the number from the metrics; false where they tell none.
func (p *plan) follow(in input) bool {
	want, name, ok := p.ask(in)
	if !ok {
		return false
	}
	p.desired = want
	switch {
	case want > in.current:
		p.reason = name + " above target"
	case want < in.current:
		p.reason = "All metrics below target"
	}
	p.restrain(in)
	return true
}

// ask lets every metric propose a number; the highest counts. A metric that
// fails keeps the target from shrinking, but not from growing.
func (p *plan) ask(in input) (want int32, name string, ok bool) {
	if f := in.selection; f != nil {
		p.set(in.now, autoscalingv2.ScalingActive, corev1.ConditionFalse, f.condition, f.shown)
		p.warn(f.reason, f.cause.Error())
		p.warn("FailedComputeMetricsReplicas", f.cause.Error())
		return 0, "", false
	}
	specs := in.hpa.Spec.Metrics
	p.status.CurrentMetrics = make([]autoscalingv2.MetricStatus, len(specs))
	var first *failure
	failed := 0
	for i := range specs {
		got, f := propose(in, &specs[i], in.readings[i])
		if f != nil {
			p.warn(f.reason, f.cause.Error())
			failed++
			if first == nil {
				first = f
			}
			continue
		}
		p.status.CurrentMetrics[i] = got.status
		if want == 0 || got.replicas > want {
			want, name = got.replicas, got.name
		}
	}
	if failed == len(specs) || failed > 0 && want < in.current {
		p.set(in.now, autoscalingv2.ScalingActive, corev1.ConditionFalse, first.reason,
			fmt.Sprintf("the HPA was unable to compute the replica count: %v", first.cause))
		p.warn("FailedComputeMetricsReplicas", fmt.Sprintf("invalid metrics (%d invalid out of %d), first error is: %v", failed, len(specs), first.whole))
		return 0, "", false
	}
	p.set(in.now, autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound",
		"the HPA was able to successfully calculate a replica count from "+name)
	return want, name, true
}

// scaled tells that the target's scale was written.
func (p *plan) scaled(from int32, now time.Time) {
	at := metav1.NewTime(now)
	p.status.LastScaleTime = &at
	p.set(now, autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededRescale",
		fmt.Sprintf("the HPA controller was able to update the target scale to %d", p.desired))
	p.events = append(p.events, event{corev1.EventTypeNormal, "SuccessfulRescale", fmt.Sprintf("New size: %d; reason: %s", p.desired, p.reason)})
	p.past = p.past.changed(from, p.desired, now)
}

// refused tells that the target's scale could not be written; kept is the
// wanted number of the status before.
func (p *plan) refused(err error, kept int32, now time.Time) {
	p.status.DesiredReplicas = kept
	p.set(now, autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedUpdateScale",
		fmt.Sprintf("the HPA controller was unable to update the target scale: %v", err))
	p.warn("FailedRescale", fmt.Sprintf("New size: %d; reason: %s; error: %v", p.desired, p.reason, err))
}

// noScale is the plan where the target's scale cannot be read.
func noScale(hpa *autoscalingv2.HorizontalPodAutoscaler, err error, past history, now time.Time) plan {
	p := plan{status: *hpa.Status.DeepCopy(), past: past}
	p.warn("FailedGetScale", err.Error())
	p.set(now, autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale",
		fmt.Sprintf("the HPA controller was unable to get the target's current scale: %v", err))
	return p
}

func (p *plan) warn(reason, message string) {
	p.events = append(p.events, event{corev1.EventTypeWarning, reason, message})
}

// set writes a condition; its time moves only with its status.
func (p *plan) set(now time.Time, typ autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) {
	want := autoscalingv2.HorizontalPodAutoscalerCondition{
		Type: typ, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now),
	}
	for i := range p.status.Conditions {
		if have := &p.status.Conditions[i]; have.Type == typ {
			if have.Status == status {
				want.LastTransitionTime = have.LastTransitionTime
			}
			*have = want
			return
		}
	}
	p.status.Conditions = append(p.status.Conditions, want)
}

func minimum(hpa *autoscalingv2.HorizontalPodAutoscaler) int32 {
	if hpa.Spec.MinReplicas == nil {
		return 1
	}
	return *hpa.Spec.MinReplicas
}
