package disruption

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

var now = time.Unix(10_000, 0)

// podsOf makes pods named a, b, ... : r is ready, n is not, d is being deleted.
func podsOf(states string) []*corev1.Pod {
	var out []*corev1.Pod
	for i, s := range states {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: string(rune('a' + i))}}
		if s != 'n' {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		if s == 'd' {
			pod.DeletionTimestamp = &metav1.Time{Time: now}
		}
		out = append(out, pod)
	}
	return out
}

func budget(least, most string, evictedAgo map[string]time.Duration) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	if least != "" {
		v := intstr.Parse(least)
		b.Spec.MinAvailable = &v
	}
	if most != "" {
		v := intstr.Parse(most)
		b.Spec.MaxUnavailable = &v
	}
	for name, ago := range evictedAgo {
		if b.Status.DisruptedPods == nil {
			b.Status.DisruptedPods = map[string]metav1.Time{}
		}
		b.Status.DisruptedPods[name] = metav1.NewTime(now.Add(-ago))
	}
	return b
}

func TestPlanStatus(t *testing.T) {
	type counts struct{ Expected, Healthy, Desired, Allowed int32 }
	tests := map[string]struct {
		least, most string
		evictedAgo  map[string]time.Duration
		pods        string
		scale       int32
		want        counts
		noted       []string
		overdue     int
		recheck     time.Duration
	}{
		"a number, enough":              {least: "2", pods: "rrr", want: counts{3, 3, 2, 1}},
		"a number, just so":             {least: "2", pods: "rrn", want: counts{3, 2, 2, 0}},
		"a number, too few":             {least: "2", pods: "rnn", want: counts{3, 1, 2, 0}},
		"the scale is not looked at":    {least: "2", pods: "rrr", scale: 9, want: counts{3, 3, 2, 1}},
		"nothing is kept":               {least: "0", pods: "rr", want: counts{2, 2, 0, 2}},
		"no pods allow nothing":         {least: "0", want: counts{}},
		"no bound at all":               {pods: "rr", want: counts{0, 2, 0, 0}},
		"a share is rounded up":         {least: "50%", pods: "rrrrr", scale: 5, want: counts{5, 5, 3, 2}},
		"a share of what is wanted":     {least: "50%", pods: "rr", scale: 8, want: counts{8, 2, 4, 0}},
		"what may be missing":           {most: "1", pods: "rrr", scale: 3, want: counts{3, 3, 2, 1}},
		"one is missing":                {most: "1", pods: "rrn", scale: 3, want: counts{3, 2, 2, 0}},
		"missing share is rounded up":   {most: "30%", pods: "rrrrr", scale: 5, want: counts{5, 5, 3, 2}},
		"more may be missing than are":  {most: "9", pods: "rr", scale: 2, want: counts{2, 2, 0, 2}},
		"deleted ones do not count":     {least: "1", pods: "rrd", want: counts{3, 2, 1, 1}},
		"evicted ones do not count":     {least: "1", pods: "rrr", evictedAgo: map[string]time.Duration{"a": 30 * time.Second}, want: counts{3, 2, 1, 1}, noted: []string{"a"}, recheck: 90 * time.Second},
		"the first timeout counts":      {least: "1", pods: "rrr", evictedAgo: map[string]time.Duration{"a": 30 * time.Second, "b": time.Minute}, want: counts{3, 1, 1, 0}, noted: []string{"a", "b"}, recheck: time.Minute},
		"evicted ones that go":          {least: "1", pods: "rd", evictedAgo: map[string]time.Duration{"b": time.Second}, want: counts{2, 1, 1, 0}},
		"evicted ones that are gone":    {least: "1", pods: "r", evictedAgo: map[string]time.Duration{"x": time.Second}, want: counts{1, 1, 1, 0}},
		"evicted ones that did not go":  {least: "1", pods: "rr", evictedAgo: map[string]time.Duration{"a": 3 * time.Minute}, want: counts{2, 2, 1, 1}, overdue: 1},
		"just at the end of their time": {least: "1", pods: "rr", evictedAgo: map[string]time.Duration{"a": deletionTimeout}, want: counts{2, 2, 1, 1}, overdue: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := planStatus(budget(tt.least, tt.most, tt.evictedAgo), view{covered: podsOf(tt.pods), scale: tt.scale}, now)
			if err != nil {
				t.Fatal(err)
			}
			s := p.status
			if diff := cmp.Diff(tt.want, counts{s.ExpectedPods, s.CurrentHealthy, s.DesiredHealthy, s.DisruptionsAllowed}); diff != "" {
				t.Errorf("counts (-want +got)\n%s", diff)
			}
			for _, pod := range tt.noted {
				if _, ok := s.DisruptedPods[pod]; !ok {
					t.Errorf("%s is forgotten", pod)
				}
			}
			if len(s.DisruptedPods) != len(tt.noted) || len(p.overdue) != tt.overdue || p.recheck != tt.recheck || s.ObservedGeneration != 3 {
				t.Errorf("noted %v, %d overdue, recheck after %s, generation %d", s.DisruptedPods, len(p.overdue), p.recheck, s.ObservedGeneration)
			}
			reason, status := policyv1.InsufficientPodsReason, metav1.ConditionFalse
			if s.DisruptionsAllowed > 0 {
				reason, status = policyv1.SufficientPodsReason, metav1.ConditionTrue
			}
			if len(s.Conditions) != 1 || s.Conditions[0].Reason != reason || s.Conditions[0].Status != status || s.Conditions[0].ObservedGeneration != 3 {
				t.Errorf("conditions: %v", s.Conditions)
			}
		})
	}
}

func TestBadShareIsAnError(t *testing.T) {
	for _, b := range []*policyv1.PodDisruptionBudget{budget("many", "", nil), budget("", "x%", nil)} {
		if p, err := planStatus(b, view{covered: podsOf("r"), scale: 1}, now); err == nil {
			t.Errorf("%v was counted: %+v", b.Spec, p.status)
		}
	}
}

// TestFailureAllowsNothingAndIsForgotten: what cannot be counted allows
// nothing; once it can be, the condition says so again.
func TestFailureAllowsNothingAndIsForgotten(t *testing.T) {
	b := budget("1", "", map[string]time.Duration{"a": time.Second})
	b.Status.DisruptionsAllowed, b.Status.CurrentHealthy = 2, 3
	b.Status = failed(b, errors.New("no idea"), now)
	c := b.Status.Conditions
	if b.Status.DisruptionsAllowed != 0 || b.Status.CurrentHealthy != 3 || len(b.Status.DisruptedPods) != 1 ||
		len(c) != 1 || c[0].Reason != policyv1.SyncFailedReason || c[0].Message != "no idea" || c[0].Status != metav1.ConditionFalse {
		t.Fatalf("after a failure: %+v", b.Status)
	}
	p, err := planStatus(b, view{covered: podsOf("rrrr")}, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if c := p.status.Conditions[0]; c.Reason != policyv1.SufficientPodsReason || c.Message != "" || !c.LastTransitionTime.Equal(&metav1.Time{Time: now.Add(time.Second)}) {
		t.Errorf("counted again: %+v", c)
	}
	if b.Status.Conditions[0].Reason != policyv1.SyncFailedReason {
		t.Error("the plan changed the object that it was made from")
	}
}

// TestNeverAllowsTooMuch: whatever the state, taking all that is allowed
// leaves what is desired, and planning again from the result changes nothing.
func TestNeverAllowsTooMuch(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		evicted := map[string]time.Duration{}
		for _, name := range rapid.SliceOfN(rapid.StringMatching("[a-l]"), 0, 5).Draw(t, "evicted") {
			evicted[name] = time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds ago")) * time.Second
		}
		bounds := rapid.SampledFrom([][2]string{{"2", ""}, {"40%", ""}, {"", "1"}, {"", "33%"}, {"100%", ""}, {"", ""}}).Draw(t, "bounds")
		b := budget(bounds[0], bounds[1], evicted)
		covered := podsOf(rapid.StringMatching("[rnd]{0,12}").Draw(t, "pods"))
		scale := int32(rapid.IntRange(0, 12).Draw(t, "scale"))
		p, err := planStatus(b, view{covered: covered, scale: scale}, now)
		if err != nil {
			t.Fatal(err)
		}
		s := p.status
		if s.DisruptionsAllowed < 0 || s.DisruptionsAllowed > 0 && s.CurrentHealthy-s.DisruptionsAllowed < s.DesiredHealthy {
			t.Fatalf("allows %d of %d healthy pods to go where %d must stay", s.DisruptionsAllowed, s.CurrentHealthy, s.DesiredHealthy)
		}
		b.Status = s
		again, err := planStatus(b, view{covered: covered, scale: scale}, now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again.status); diff != "" {
			t.Fatalf("planned again (-first +second)\n%s", diff)
		}
	})
}

// An eviction stays noted while its pod may not have been seen, and no longer.
func TestEvictionOfAnUnseenPodIsRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		ago  time.Duration
		late bool
		want int
	}{
		"the pod may come yet": {time.Second, true, 1},
		"the pod is gone":      {time.Second, false, 0},
		"too long ago":         {deletionTimeout, true, 0},
	} {
		b := budget("1", "", map[string]time.Duration{"x": c.ago})
		p, err := planStatus(b, view{covered: podsOf("rr"), late: c.late}, now)
		if err != nil || len(p.status.DisruptedPods) != c.want || (p.recheck > 0) != (c.want > 0) {
			t.Errorf("%s: %v, noted are %v, again after %s", name, err, p.status.DisruptedPods, p.recheck)
		}
	}
}
