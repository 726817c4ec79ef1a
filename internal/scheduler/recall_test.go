package scheduler

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// decision is where a pod goes, or who goes for it where, or why it waits.
type decision struct {
	text  string
	node  *framework.Node
	going []*framework.Placed
}

// decide changes nothing but what is remembered and where the next search begins.
func decide(s *Scheduler, p *profile, pod *framework.Pod) decision {
	tr, node, failure := s.choose(p, pod)
	if failure == nil {
		return decision{text: "on " + node.Name, node: node}
	}
	d := decision{text: failure.Error()}
	if tr == nil {
		return d
	}
	found, told := s.candidates(tr, *p.preemption, failure, time.Unix(0, 0))
	d.text += "; " + told.Error()
	if len(found) > 0 {
		best := pickCandidate(found, time.Unix(0, 0))
		d.node, d.going = best.node, best.victims
		for _, v := range best.victims {
			d.text += " instead of " + v.Name
		}
		d.text += " on " + best.node.Name
	}
	return d
}

// twice decides as a scheduler does that remembers nothing, and then with what
// is remembered, from the same state.
func twice(s *Scheduler, p *profile, pod *framework.Pod) (fresh, recalled decision) {
	known, next := s.recall, s.next
	s.recall, s.random = recall{}, rand.New(rand.NewPCG(1, 0))
	fresh = decide(s, p, pod)
	s.recall, s.next, s.random = known, next, rand.New(rand.NewPCG(1, 0))
	return fresh, decide(s, p, pod)
}

// TestRecalledAnswersAreThoseOfToday: what is remembered changes no decision,
// whatever happened to nodes and pods.
func TestRecalledAnswersAreThoseOfToday(t *testing.T) {
	for seed := range uint64(300) {
		s, p := bare()
		s.budgets = noBudgets{}
		w := wandering{s: s, p: p, draw: rand.New(rand.NewPCG(seed, 0))}
		for i := range 4 {
			s.cluster.set(w.node(i))
		}
		for i := range 60 {
			if fresh, recalled := w.step(i); fresh != recalled {
				t.Fatalf("seed %d, step %d: %s with what is remembered, %s without", seed, i, recalled, fresh)
			}
		}
		if len(s.recall.known) == 0 {
			t.Errorf("seed %d: nothing is remembered at the end", seed)
		}
	}
}

// wandering is a cluster to which something happens in each step.
type wandering struct {
	s     *Scheduler
	p     *profile
	draw  *rand.Rand
	there []types.UID // pods that were bound or nominated
}

func (w *wandering) node(i int) *corev1.Node {
	return newNode(fmt.Sprint("n", i), func(n *corev1.Node) {
		n.Spec.Unschedulable = w.draw.IntN(6) == 0
		n.Status.Allocatable = amounts(fmt.Sprint(w.draw.IntN(5)), "32Gi", "5")
	})
}

// step does something, and gives the decision about a pod, if there is one,
// without and with what is remembered.
func (w *wandering) step(i int) (fresh, recalled string) {
	at := w.draw.IntN(4)
	switch w.draw.IntN(8) {
	case 0:
		w.s.cluster.set(w.node(at))
	case 1:
		pod := newPod(fmt.Sprint("bound", i), cpu(fmt.Sprint(w.draw.IntN(3))), priority(w.draw.Int32N(4)))
		w.s.cluster.addPod(fmt.Sprint("n", at), pod, framework.UsageOf(pod))
		w.there = append(w.there, pod.UID)
	case 2, 3:
		if len(w.there) == 0 {
			break
		}
		gone := w.there[w.draw.IntN(len(w.there))]
		w.s.unnominate(gone)
		for _, n := range w.s.cluster.nodes() {
			w.s.cluster.removePod(n.Name, gone)
		}
	default:
		pod := framework.NewPod(newPod(fmt.Sprint("new", i), cpu(fmt.Sprint(2+w.draw.IntN(2))), priority(1+w.draw.Int32N(2))))
		f, d := twice(w.s, w.p, pod)
		w.follow(pod, d)
		return f.text, d.text
	}
	return "", ""
}

// follow does what was decided; those that have to go are gone at once.
func (w *wandering) follow(pod *framework.Pod, d decision) {
	if d.node == nil {
		return
	}
	w.there = append(w.there, pod.UID)
	if d.going == nil {
		w.s.assume(pod, d.node)
		return
	}
	for _, v := range d.going {
		w.s.cluster.removePod(d.node.Name, v.UID)
	}
	w.s.nominate(pod, d.node.Name)
}

func TestPodsOfOneTemplateHaveOneShape(t *testing.T) {
	like := func(name string, changes ...func(*corev1.Pod)) string {
		return framework.Shape(newPod(name, changes...))
	}
	one := like("a", cpu("1"), priority(3))
	if other := like("b", cpu("1"), priority(3), labelled("x"), func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "token-b"}} }); other != one || one == "" {
		t.Error("the name, labels and volumes of a pod tell in its shape")
	}
	for what, other := range map[string]string{
		"requests": like("a", cpu("2"), priority(3)), "priority": like("a", cpu("1"), priority(4)),
		"tolerations": like("a", cpu("1"), priority(3), func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: "Exists"}} }),
		"selector":    like("a", cpu("1"), priority(3), func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "b"} }),
		"port":        like("a", cpu("1"), priority(3), func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }),
	} {
		if other == one {
			t.Errorf("pods that differ in their %s have one shape", what)
		}
	}
}
