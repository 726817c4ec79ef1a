package scheduler

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Counting by classes and by nodes give the same answers and scores: with few
// classes the plugins do the former, with many the latter.
func TestManyClassesAreCountedAlike(t *testing.T) {
	type answer struct {
		Refused map[string]string
		Totals  []int64
	}
	ask := func(extra int) answer {
		s, p := bare()
		for i := range 12 {
			s.cluster.set(newNode(fmt.Sprint("n", i), inZone(fmt.Sprint("z", i%4))))
		}
		for i := range 9 {
			change := []func(*corev1.Pod){labelled("x")}
			if i%2 == 0 {
				change = append(change, awayFrom("x", corev1.LabelHostname))
			}
			if i < extra { // a class of its own, of which the terms speak too
				change = append(change, func(q *corev1.Pod) { q.Labels["own"] = fmt.Sprint(i) })
			}
			pod := newPod(fmt.Sprint("p", i), change...)
			s.cluster.addPod(fmt.Sprint("n", i%5), pod, framework.UsageOf(pod))
		}
		for i := range 3 * extra { // and empty ones, so that there are too many
			pod := newPod(fmt.Sprint("e", i), labelled("x"), ratherNear("x", corev1.LabelTopologyZone, 1), func(q *corev1.Pod) { q.Labels["own"] = fmt.Sprint("e", i) })
			s.cluster.classes.Take(pod)
		}
		pod := framework.NewPod(newPod("new", labelled("x"), awayFrom("x", corev1.LabelHostname), spread("x", corev1.LabelTopologyZone, 1, corev1.DoNotSchedule)))
		c := framework.NewCycle(s.cluster.look())
		filters, st := p.preFilter(c, pod, nil)
		if st != nil {
			t.Fatal(st)
		}
		tr := &trial{cycle: c, pod: pod, filters: filters}
		out := answer{Refused: map[string]string{}}
		for _, n := range []string{"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11"} {
			node := s.cluster.byName[n]
			if st := s.ask(tr, node); st != nil {
				out.Refused[n] = st.Reasons[0]
			}
			if fits := s.fits(tr, node); fits != (out.Refused[n] == "") {
				t.Errorf("%s fits: %v, and is refused for %q", n, fits, out.Refused[n])
			}
		}
		near := framework.NewPod(newPod("near", labelled("x"), ratherNear("x", corev1.LabelTopologyZone, 5)))
		nodes := make([]*framework.Node, 12)
		for i := range nodes {
			nodes[i] = s.cluster.byName[fmt.Sprint("n", i)]
		}
		totals, st := p.rank(framework.NewCycle(s.cluster.look()), near, nodes)
		if st != nil {
			t.Fatal(st)
		}
		out.Totals = totals
		return out
	}
	few, many := ask(0), ask(9)
	if diff := cmp.Diff(few, many); diff != "" {
		t.Errorf("by classes -, by nodes +:\n%s", diff)
	}
	if len(few.Refused) == 0 || len(few.Refused) == 12 {
		t.Errorf("the scene shows nothing: %v", few.Refused)
	}
}
