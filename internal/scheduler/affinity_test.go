package scheduler

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

func inZone(zone string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = zone }
}

func labelled(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{"app": app} }
}

func ofApp(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func near(app, key string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{LabelSelector: ofApp(app), TopologyKey: key}},
		}}
	}
}

func awayFrom(app, key string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{LabelSelector: ofApp(app), TopologyKey: key}},
		}}
	}
}

func ratherNear(app, key string, weight int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: ofApp(app), TopologyKey: key},
			}},
		}}
	}
}

func spread(app, key string, skew int32, when corev1.UnsatisfiableConstraintAction) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: skew, TopologyKey: key, WhenUnsatisfiable: when, LabelSelector: ofApp(app),
		}}
	}
}

// TestPodsNearAndFar: four nodes in two zones, one pod of app x on a1.
func TestPodsNearAndFar(t *testing.T) {
	const zone, host = corev1.LabelTopologyZone, corev1.LabelHostname
	x := labelled("x")
	cases := []struct {
		name  string
		there map[string]*corev1.Pod // by node
		pod   *corev1.Pod
		want  map[string]bool // nodes, any of them
		why   string          // or why none
	}{
		{name: "near in the zone", pod: newPod("p", near("x", zone)), want: map[string]bool{"a1": true, "a2": true}},
		{name: "near on the host", pod: newPod("p", near("x", host)), want: map[string]bool{"a1": true}},
		{name: "away from the zone", pod: newPod("p", awayFrom("x", zone)), want: map[string]bool{"b1": true, "b2": true}},
		{name: "the first of its kind may start", pod: newPod("p", labelled("y"), near("y", zone)), want: map[string]bool{"a1": true, "a2": true, "b1": true, "b2": true}},
		{name: "nothing to be near to", pod: newPod("p", near("y", zone)), why: "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."},
		{
			name: "others keep away", there: map[string]*corev1.Pod{"b1": newPod("o", labelled("o"), awayFrom("y", zone))},
			pod: newPod("p", labelled("y")), want: map[string]bool{"a1": true, "a2": true},
		},
		{
			name: "every reason is told", there: map[string]*corev1.Pod{"b1": newPod("o", labelled("o"), awayFrom("y", zone))},
			pod: newPod("p", labelled("y"), awayFrom("x", zone)),
			why: "0/4 nodes are available: 2 node(s) didn't match pod anti-affinity rules, 2 node(s) didn't satisfy existing pods anti-affinity rules.",
		},
		{name: "rather near", pod: newPod("p", ratherNear("x", host, 100)), want: map[string]bool{"a1": true}},
		{name: "spread over zones", pod: newPod("p", x, spread("x", zone, 1, corev1.DoNotSchedule)), want: map[string]bool{"b1": true, "b2": true}},
		{name: "rather spread over zones", pod: newPod("p", x, spread("x", zone, 1, corev1.ScheduleAnyway)), want: map[string]bool{"b1": true, "b2": true}},
		{name: "a skew of two allows all", pod: newPod("p", x, spread("x", zone, 2, corev1.DoNotSchedule)), want: map[string]bool{"a2": true, "b1": true, "b2": true}},
		{
			name: "no label to spread over", pod: newPod("p", x, spread("x", "rack", 1, corev1.DoNotSchedule)),
			why: "0/4 nodes are available: 4 node(s) didn't match pod topology spread constraints (missing required label).",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, p := bare()
			for _, n := range []string{"a1", "a2", "b1", "b2"} {
				s.cluster.set(newNode(n, inZone(n[:1])))
			}
			s.cluster.addPod("a1", newPod("x", x), framework.UsageOf(newPod("x")))
			for node, pod := range c.there {
				s.cluster.addPod(node, pod, framework.UsageOf(pod))
			}
			_, node, failure := s.choose(p, framework.NewPod(c.pod))
			if c.why != "" {
				if failure == nil {
					t.Fatalf("chose %s", node.Name)
				}
				if diff := cmp.Diff(c.why, failure.Error()); diff != "" {
					t.Error(diff)
				}
				return
			}
			if failure != nil || !c.want[node.Name] {
				t.Errorf("chose %v (%v), want one of %v", node, failure, c.want)
			}
		})
	}
}

func TestSpreadHoldsItsSkew(t *testing.T) {
	s, p := bare()
	for i := range 9 {
		s.cluster.set(newNode(fmt.Sprint("n", i), inZone(fmt.Sprint("z", i%3))))
	}
	count := map[string]int{}
	for i := range 30 {
		pod := framework.NewPod(newPod(fmt.Sprint("p", i), labelled("x"), spread("x", corev1.LabelTopologyZone, 1, corev1.DoNotSchedule)))
		_, node, failure := s.choose(p, pod)
		if failure != nil {
			t.Fatal(failure)
		}
		s.assume(pod, node)
		count[node.Labels[corev1.LabelTopologyZone]]++
		least, most := min(count["z0"], count["z1"], count["z2"]), max(count["z0"], count["z1"], count["z2"])
		if most-least > 1 {
			t.Fatalf("after %d pods the zones have %v", i+1, count)
		}
	}
}

func BenchmarkPodsNearAndFar(b *testing.B) {
	for name, change := range map[string]func(*corev1.Pod){
		"spread":       spread("x", corev1.LabelTopologyZone, 5, corev1.DoNotSchedule),
		"antiaffinity": awayFrom("x", corev1.LabelHostname),
	} {
		b.Run(name, func(b *testing.B) {
			s, p := bare()
			for i := range 5000 {
				s.cluster.set(newNode(fmt.Sprint("n", i), inZone(fmt.Sprint("z", i%3))))
			}
			b.ResetTimer()
			for i := range b.N {
				if i%4000 == 3999 {
					b.StopTimer()
					for uid, at := range s.placed {
						s.cluster.removePod(at.node, uid)
						delete(s.placed, uid)
					}
					b.StartTimer()
				}
				pod := framework.NewPod(newPod(fmt.Sprint("p", i), labelled("x"), change))
				_, node, failure := s.choose(p, pod)
				if failure != nil {
					b.Fatal(failure)
				}
				s.assume(pod, node)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
		})
	}
}
