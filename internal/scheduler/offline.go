package scheduler

import (
	"errors"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Offline is the scheduler's decisions without an API: what it would do with
// the nodes and pods that it is told of. One goroutine may use it. It is for
// measuring and for comparing; nothing is bound anywhere.
type Offline struct {
	s *Scheduler
	p *profile
}

// NewOffline makes an empty cluster under one profile; the seed decides among
// equally good nodes.
func NewOffline(p Profile, seed uint64) *Offline {
	s := &Scheduler{cluster: newCluster(), placed: map[types.UID]placement{}, nominated: newNominations(),
		random: rand.New(rand.NewPCG(seed, 0)), budgets: noBudgets{}}
	return &Offline{s: s, p: newProfile(p, nil)}
}

type noBudgets struct{}

func (noBudgets) List(string, labels.Selector) []*policyv1.PodDisruptionBudget { return nil }

// SetNode adds a node, or takes its newer version.
func (o *Offline) SetNode(n *corev1.Node) { o.s.cluster.set(n) }

// AddPod counts a pod that is on a node.
func (o *Offline) AddPod(pod *corev1.Pod) {
	o.s.cluster.addPod(pod.Spec.NodeName, pod, framework.UsageOf(pod))
	o.s.placed[pod.UID] = placement{node: pod.Spec.NodeName, pod: pod}
}

// Place chooses a node for a pod and counts it there. The error is the text of
// the event that tells that no node takes it.
func (o *Offline) Place(pod *corev1.Pod) (node string, err error) {
	p := framework.NewPod(pod)
	_, n, failure := o.s.choose(o.p, p)
	if failure != nil {
		return "", errors.New(failure.Error())
	}
	o.s.assume(p, n)
	return n.Name, nil
}

// PlaceByForce is Place that displaces pods of lower priority where it must;
// they are gone at once.
func (o *Offline) PlaceByForce(pod *corev1.Pod, now time.Time) (node string, victims []*corev1.Pod, err error) {
	p := framework.NewPod(pod)
	t, n, failure := o.s.choose(o.p, p)
	if failure == nil {
		o.s.assume(p, n)
		return n.Name, nil, nil
	}
	if t == nil || o.p.preemption == nil {
		return "", nil, errors.New(failure.Error())
	}
	found, told := o.s.candidates(t, *o.p.preemption, failure, now)
	if len(found) == 0 {
		return "", nil, errors.New(told.Error())
	}
	best := pickCandidate(found, now)
	for _, v := range best.victims {
		victims = append(victims, v.Pod)
		o.s.cluster.removePod(best.node.Name, v.UID)
		delete(o.s.placed, v.UID)
	}
	o.s.assume(p, best.node)
	return best.node.Name, victims, nil
}

// Rating is what the profile says of a pod on a node.
type Rating struct {
	// Refused is the first filter's no; nil where the pod fits.
	Refused *framework.Status
	// Scores are the plugins' normalized scores without their weights, and Total
	// their sum with them. They are of nodes that fit.
	Scores map[string]int64
	Total  int64
}

// Rate asks every node, by name.
func (o *Offline) Rate(pod *corev1.Pod) map[string]Rating {
	view, p := o.s.cluster.look(), framework.NewPod(pod)
	out := make(map[string]Rating, len(view.Nodes))
	c := framework.NewCycle(view)
	filters, st := o.p.preFilter(c, p, nil)
	if st != nil {
		for _, n := range view.Nodes {
			out[n.Name] = Rating{Refused: st}
		}
		return out
	}
	t := &trial{cycle: c, pod: p, filters: filters}
	var fit []*framework.Node
	for _, n := range view.Nodes {
		if st := t.ask(n); st != nil {
			out[n.Name] = Rating{Refused: st}
			continue
		}
		fit = append(fit, n)
		out[n.Name] = Rating{Scores: map[string]int64{}}
	}
	_ = o.p.eachScore(c, p, fit, func(s score, scores []int64) {
		for i, n := range fit {
			r := out[n.Name]
			r.Scores[s.plugin.Name()] = scores[i]
			r.Total += scores[i] * s.weight
			out[n.Name] = r
		}
	})
	return out
}
