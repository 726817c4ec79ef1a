package autoscaler

import (
	"math"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// downWindow is the stabilization of shrinking where nothing is said.
const downWindow = 5 * time.Minute

const (
	steadyUp   = "recent recommendations were lower than current one, applying the lowest recent recommendation"
	steadyDown = "recent recommendations were higher than current one, applying the highest recent recommendation"
)

// restrain steadies what the metrics recommend, then bounds its speed and
// size, and says in conditions which of these counted.
func (p *plan) restrain(in input) {
	raw := p.desired
	steady, reason, message := stabilize(in, raw, p.past)
	p.past = p.past.recommends(raw, in.now)
	if steady == raw {
		reason, message = "ReadyForNewScale", "recommended size matches current size"
	}
	p.set(in.now, autoscalingv2.AbleToScale, corev1.ConditionTrue, reason, message)
	bounded, reason, message := bound(in, steady, p.past)
	limited := corev1.ConditionFalse
	if bounded != steady {
		limited = corev1.ConditionTrue
	}
	p.set(in.now, autoscalingv2.ScalingLimited, limited, reason, message)
	p.desired = bounded
}

// stabilize holds against recommendations that come and go: the target grows
// only to what all of the recent ones asked for, and shrinks only to what
// none of them exceeded. Without a behaviour only shrinking is steadied.
func stabilize(in input, raw int32, past history) (steady int32, reason, message string) {
	behavior := in.hpa.Spec.Behavior
	if behavior == nil {
		return highest(raw, past, func(age time.Duration) bool { return age <= downWindow }, in.now), "ScaleDownStabilized", steadyDown
	}
	up, down := window(behavior.ScaleUp, 0), window(behavior.ScaleDown, downWindow)
	low := raw
	for _, r := range past.recommended {
		if in.now.Sub(r.at) < up {
			low = min(low, r.replicas)
		}
	}
	high := highest(raw, past, func(age time.Duration) bool { return age < down }, in.now)
	steady = min(max(in.current, low), high)
	if raw >= in.current {
		return steady, "ScaleUpStabilized", steadyUp
	}
	return steady, "ScaleDownStabilized", steadyDown
}

func highest(raw int32, past history, counts func(age time.Duration) bool, now time.Time) int32 {
	for _, r := range past.recommended {
		if counts(now.Sub(r.at)) {
			raw = max(raw, r.replicas)
		}
	}
	return raw
}

func window(rules *autoscalingv2.HPAScalingRules, otherwise time.Duration) time.Duration {
	if rules == nil || rules.StabilizationWindowSeconds == nil {
		return otherwise
	}
	return time.Duration(*rules.StabilizationWindowSeconds) * time.Second
}

// bound keeps a number within the object's limits and the speed of change.
func bound(in input, want int32, past history) (int32, string, string) {
	least, most := minimum(in.hpa), in.hpa.Spec.MaxReplicas
	up, down := speed(in, past)
	switch {
	case want > min(most, up) && up < most:
		return up, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"
	case want > most:
		return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
	case want < max(least, down) && down > least:
		return down, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"
	case want < least:
		return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
	}
	return want, "DesiredWithinRange", "the desired count is within the acceptable range"
}

// speed is the highest and the lowest number that may be reached now. Without
// a behaviour a target doubles at most, or grows to four, and shrinks freely.
func speed(in input, past history) (up, down int32) {
	behavior := in.hpa.Spec.Behavior
	if behavior == nil {
		return toReplicas(max(2*float64(in.current), 4)), math.MinInt32
	}
	up = limit(in, behavior.ScaleUp, past, +1)
	down = limit(in, behavior.ScaleDown, past, -1)
	return max(up, in.current), min(down, in.current)
}

// limit is how far the rules let the number go in a direction: each policy
// counts from the number at its period's begin, and selectPolicy chooses.
func limit(in input, rules *autoscalingv2.HPAScalingRules, past history, direction float64) int32 {
	selects := autoscalingv2.MaxChangePolicySelect
	if rules != nil && rules.SelectPolicy != nil {
		selects = *rules.SelectPolicy
	}
	if rules == nil || len(rules.Policies) == 0 || selects == autoscalingv2.DisabledPolicySelect {
		return in.current
	}
	var reach []int32
	for _, policy := range rules.Policies {
		start := float64(past.start(in.current, policy.PeriodSeconds, in.now))
		to := start + direction*float64(policy.Value)
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			to = start * (1 + direction*float64(policy.Value)/100)
		}
		if direction < 0 {
			to = math.Trunc(to) // any part of a pod may go
		}
		reach = append(reach, toReplicas(to))
	}
	if (selects == autoscalingv2.MinChangePolicySelect) == (direction > 0) {
		return slices.Min(reach)
	}
	return slices.Max(reach)
}

// toReplicas rounds up, within what a number of replicas can be.
func toReplicas(f float64) int32 {
	switch f = math.Ceil(f); {
	case f >= math.MaxInt32:
		return math.MaxInt32
	case f > math.MinInt32:
		return int32(f)
	}
	return 0 // not a number, or below all of them
}
