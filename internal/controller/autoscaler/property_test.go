package autoscaler

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// drawRules draws rules whose policies each say what they allow.
func drawRules(t *rapid.T, name string) *autoscalingv2.HPAScalingRules {
	choose := rapid.SampledFrom([]autoscalingv2.ScalingPolicySelect{
		autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect,
	}).Draw(t, name+" select")
	rules := &autoscalingv2.HPAScalingRules{
		SelectPolicy: &choose, StabilizationWindowSeconds: ptr(rapid.Int32Range(0, 120).Draw(t, name+" window")),
	}
	for range rapid.IntRange(1, 3).Draw(t, name+" policies") {
		rules.Policies = append(rules.Policies, autoscalingv2.HPAScalingPolicy{
			Type:          autoscalingv2.PodsScalingPolicy,
			Value:         rapid.Int32Range(1, 10).Draw(t, name+" value"),
			PeriodSeconds: rapid.Int32Range(1, 120).Draw(t, name+" period"),
		})
	}
	return rules
}

// step is a number that held from a time on.
type step struct {
	at       time.Time
	replicas int32
}

// within tells whether a move is one that the policies allow, by the numbers
// that held at their periods' begins.
func within(rules *autoscalingv2.HPAScalingRules, steps []step, to int32, now time.Time) bool {
	from := steps[len(steps)-1].replicas
	allowed := 0
	for _, p := range rules.Policies {
		start := steps[0].replicas
		for _, s := range steps {
			if now.Sub(s.at) >= time.Duration(p.PeriodSeconds)*time.Second {
				start = s.replicas
			}
		}
		if d := to - start; to > from && d <= p.Value || to < from && -d <= p.Value {
			allowed++
		}
	}
	switch *rules.SelectPolicy {
	case autoscalingv2.DisabledPolicySelect:
		return false
	case autoscalingv2.MinChangePolicySelect:
		return allowed == len(rules.Policies)
	}
	return allowed > 0
}

// Whatever the metrics say, the number stays within the limits and moves no
// faster than the policies allow, as told by the numbers themselves.
func TestNumbersStayWithinLimitsAndSpeed(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		least := rapid.Int32Range(1, 10).Draw(t, "least")
		hpa := hpaOf(least, least+rapid.Int32Range(0, 20).Draw(t, "room"), cpuTarget(50))
		if rapid.Bool().Draw(t, "behaves") {
			hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: drawRules(t, "up"), ScaleDown: drawRules(t, "down")}
		}
		now, current, past := epoch, rapid.Int32Range(least, hpa.Spec.MaxReplicas).Draw(t, "current"), history{}
		steps := []step{{epoch.Add(-time.Hour), current}}
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			now = now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			in := of(hpa, current, rapid.Int64Range(0, 400).Draw(t, "use"))
			in.now, in.past = now, past
			p := next(in)
			if p.desired < least || p.desired > hpa.Spec.MaxReplicas {
				t.Fatalf("%d replicas, outside of %d..%d", p.desired, least, hpa.Spec.MaxReplicas)
			}
			if p.rescale {
				if b := hpa.Spec.Behavior; b != nil && !within(map[bool]*autoscalingv2.HPAScalingRules{true: b.ScaleUp, false: b.ScaleDown}[p.desired > current], steps, p.desired, now) {
					t.Fatalf("from %d to %d is too fast", current, p.desired)
				}
				p.scaled(current, now)
				steps = append(steps, step{now, p.desired})
			}
			current, past = p.desired, p.past
		}
	})
}
