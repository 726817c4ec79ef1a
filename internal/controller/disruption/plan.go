package disruption

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// deletionTimeout is how long after its eviction was allowed a pod may still
// be there without being deleted; then it counts again, as upstream's.
const deletionTimeout = 2 * time.Minute

// byScale tells whether the budget is a share of what the pods' controllers
// want, rather than a number of pods.
func byScale(b *policyv1.PodDisruptionBudget) bool {
	return b.Spec.MaxUnavailable != nil || b.Spec.MinAvailable != nil && b.Spec.MinAvailable.Type == intstr.String
}

// plan is what a run of the controller comes to.
type plan struct {
	status policyv1.PodDisruptionBudgetStatus
	// overdue are pods whose eviction was allowed and never happened.
	overdue []*corev1.Pod
	// recheck is when the next allowed eviction runs out; zero: none is open.
	recheck time.Duration
}

// view is what a budget is counted from.
type view struct {
	covered []*corev1.Pod
	// scale is what the pods' controllers want in total; only a budget for
	// which byScale holds looks at it.
	scale int32
	// late tells that the budget may be newer than the pods: one that it notes
	// as evicted and that is not among them may not have been seen yet.
	late bool
}

// planStatus counts a budget.
func planStatus(b *policyv1.PodDisruptionBudget, v view, now time.Time) (plan, error) {
	covered := v.covered
	expected, desired, err := expectation(&b.Spec, int32(len(covered)), v.scale)
	if err != nil {
		return plan{}, err
	}
	p := plan{status: policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: b.Generation, ExpectedPods: expected, DesiredHealthy: desired,
		DisruptedPods: map[string]metav1.Time{},
	}}
	unseen := map[string]metav1.Time{}
	if v.late {
		maps.Copy(unseen, b.Status.DisruptedPods)
	}
	for _, pod := range covered {
		delete(unseen, pod.Name)
		p.count(pod, b.Status.DisruptedPods, now)
	}
	for name, at := range unseen {
		p.remember(name, at, now)
	}
	s := &p.status
	// No pods allow nothing: the first ones may appear before they are counted.
	if expected > 0 {
		s.DisruptionsAllowed = max(0, s.CurrentHealthy-desired)
	}
	s.Conditions = append(s.Conditions, b.Status.Conditions...)
	allowed := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
		ObservedGeneration: b.Generation, LastTransitionTime: metav1.NewTime(now),
	}
	if s.DisruptionsAllowed > 0 {
		allowed.Status, allowed.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	}
	apimeta.SetStatusCondition(&s.Conditions, allowed)
	return p, nil
}

// count adds one pod: as healthy, as about to go, or not at all.
func (p *plan) count(pod *corev1.Pod, disrupted map[string]metav1.Time, now time.Time) {
	if pod.DeletionTimestamp != nil {
		return
	}
	if at, noted := disrupted[pod.Name]; noted {
		if p.remember(pod.Name, at, now) {
			return
		}
		p.overdue = append(p.overdue, pod)
	}
	if pods.Ready(pod) {
		p.status.CurrentHealthy++
	}
}

// remember keeps an eviction noted until it runs out, and tells whether it has
// not.
func (p *plan) remember(name string, at metav1.Time, now time.Time) bool {
	left := at.Add(deletionTimeout).Sub(now)
	if left <= 0 {
		return false
	}
	p.status.DisruptedPods[name] = at
	if p.recheck == 0 || left < p.recheck {
		p.recheck = left
	}
	return true
}

// expectation is how many pods there should be, and how many of them healthy.
// Shares are rounded up, both of what must be there and of what may be missing.
func expectation(s *policyv1.PodDisruptionBudgetSpec, covered, scale int32) (expected, desired int32, err error) {
	switch {
	case s.MaxUnavailable != nil:
		missing, err := intstr.GetScaledValueFromIntOrPercent(s.MaxUnavailable, int(scale), true)
		if err != nil {
			return 0, 0, fmt.Errorf("maxUnavailable: %w", err)
		}
		return scale, max(0, scale-int32(missing)), nil
	case s.MinAvailable == nil:
		return 0, 0, nil
	case s.MinAvailable.Type == intstr.Int:
		return covered, s.MinAvailable.IntVal, nil
	}
	least, err := intstr.GetScaledValueFromIntOrPercent(s.MinAvailable, int(scale), true)
	if err != nil {
		return 0, 0, fmt.Errorf("minAvailable: %w", err)
	}
	return scale, int32(least), nil
}

// failed is the status of a budget that could not be counted: nothing is
// allowed until it can be.
func failed(b *policyv1.PodDisruptionBudget, cause error, now time.Time) policyv1.PodDisruptionBudgetStatus {
	s := *b.Status.DeepCopy()
	s.DisruptionsAllowed = 0
	apimeta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: cause.Error(),
		ObservedGeneration: s.ObservedGeneration, LastTransitionTime: metav1.NewTime(now),
	})
	return s
}
