package statefulset

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// revision is a template with the name under which it is kept.
type revision struct {
	name     string
	template *corev1.PodTemplateSpec
}

// input is everything that a plan looks at. Nothing in it is changed.
type input struct {
	set             *appsv1.StatefulSet
	current, update revision
	pods            map[int]*corev1.Pod // by ordinal; also those that the set does not want
	claim           func(name string) (*corev1.PersistentVolumeClaim, bool)
	now             time.Time
}

type verb int

const (
	create  verb = iota // a pod, after its claims
	remove              // a pod
	replace             // a pod that has ended
	label               // a pod that lacks its identity's labels
	claim               // missing claims of a pod that waits for them
	disown              // a claim's owners are to be changed
	foreign             // a claim that somebody else controls: say so
)

// action is one thing to do.
type action struct {
	verb   verb
	pod    *corev1.Pod
	claims []*corev1.PersistentVolumeClaim
}

type planner struct {
	input
	ordered bool
	actions []action
}

// plan says what to do next, in order. An ordered set does one thing to its
// pods at a time; the pods of a parallel one do not wait for each other.
func plan(in input) []action {
	p := &planner{input: in, ordered: in.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement}
	if in.set.DeletionTimestamp != nil {
		return nil
	}
	if p.fill() || p.shrink() {
		return p.actions
	}
	p.roll()
	return p.actions
}

func (p *planner) do(v verb, pod *corev1.Pod, claims ...*corev1.PersistentVolumeClaim) {
	p.actions = append(p.actions, action{verb: v, pod: pod, claims: claims})
}

// fill sees to the pods that the set wants; true when it has to wait for one.
func (p *planner) fill() (wait bool) {
	for ordinal := start(p.set); ordinal < start(p.set)+replicas(p.set); ordinal++ {
		if p.wanted(ordinal) {
			wait = true
			if p.ordered {
				return true
			}
		}
	}
	return wait
}

// wanted sees to one pod; true when the set has to wait for it.
func (p *planner) wanted(ordinal int) (wait bool) {
	pod := p.pods[ordinal]
	switch {
	case pod == nil:
		if p.anyStale(nil, ordinal) {
			return true
		}
		p.do(create, newPod(p.set, p.revisionFor(ordinal), ordinal), p.missing(ordinal)...)
		return p.ordered
	case pods.Finished(pod):
		if pod.DeletionTimestamp == nil {
			p.do(replace, pod)
		}
		return true
	}
	if pod.Status.Phase == corev1.PodPending || pod.Status.Phase == "" {
		if claims := p.missing(ordinal); len(claims) > 0 {
			p.do(claim, pod, claims...)
		}
	}
	if p.ordered && !p.healthy(pod) {
		return true
	}
	p.own(pod, ordinal)
	if pod.DeletionTimestamp == nil && pod.Labels[appsv1.StatefulSetPodNameLabel] != pod.Name {
		changed := pod.DeepCopy()
		identify(changed, ordinal)
		p.do(label, changed)
	}
	return false
}

// shrink sees to the pods that the set does not want any more, the highest
// first; true when it has to wait for one.
func (p *planner) shrink() (wait bool) {
	condemned := p.condemned()
	for _, ordinal := range condemned {
		p.own(p.pods[ordinal], ordinal)
	}
	sick := p.firstSick(condemned)
	for _, ordinal := range condemned {
		pod := p.pods[ordinal]
		switch {
		case pod.DeletionTimestamp != nil:
			if p.ordered {
				return true
			}
		case p.ordered && !p.healthy(pod) && pod != sick && !pods.Finished(pod):
			return true
		default:
			p.do(remove, pod)
			if p.ordered {
				return true
			}
		}
	}
	return false
}

func (p *planner) condemned() []int {
	var out []int
	for ordinal := range p.pods {
		if !inRange(p.set, ordinal) {
			out = append(out, ordinal)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// firstSick is the pod of the lowest ordinal that is not well; an ordered set
// stops that one although it is not, and those that have ended.
func (p *planner) firstSick(condemned []int) *corev1.Pod {
	for _, ordinal := range slices.Backward(condemned) {
		if pod := p.pods[ordinal]; !p.healthy(pod) {
			return pod
		}
	}
	return nil
}

// roll takes pods of old revisions away, the highest first and down to the
// partition. At most maxUnavailable are on their way at a time, and none that
// serves goes while that many of the whole set are missing, as the API's
// maxUnavailable counts them; one that does not serve may always go, so that a
// set whose pods are broken can be mended.
func (p *planner) roll() {
	s := p.set.Spec.UpdateStrategy
	if s.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return
	}
	least := start(p.set)
	if s.RollingUpdate != nil && s.RollingUpdate.Partition != nil {
		least += int(*s.RollingUpdate.Partition)
	}
	budget := maxUnavailable(p.set)
	spare := budget - p.unavailable()
	for ordinal := start(p.set) + replicas(p.set) - 1; ordinal >= least && budget > 0; ordinal-- {
		pod := p.pods[ordinal]
		old := pod != nil && pod.Labels[revisionLabel] != p.update.name && pod.DeletionTimestamp == nil
		serves := pod != nil && p.healthy(pod)
		switch {
		case old && serves && spare > 0:
			p.do(remove, pod)
			spare--
			budget--
		case old && !serves:
			p.do(remove, pod)
			budget--
		case !serves:
			budget--
		}
	}
}

// unavailable counts the pods that the set wants and that do not serve.
func (p *planner) unavailable() int {
	n := 0
	for ordinal := start(p.set); ordinal < start(p.set)+replicas(p.set); ordinal++ {
		if pod := p.pods[ordinal]; pod == nil || !p.healthy(pod) {
			n++
		}
	}
	return n
}

// maxUnavailable is one unless the API lets the set say more.
func maxUnavailable(set *appsv1.StatefulSet) int {
	r := set.Spec.UpdateStrategy.RollingUpdate
	if r == nil || r.MaxUnavailable == nil {
		return 1
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(r.MaxUnavailable, replicas(set), true)
	if err != nil {
		return 1
	}
	return max(1, n)
}

// revisionFor says of which template a new pod of the ordinal is to be.
func (p *planner) revisionFor(ordinal int) revision {
	s := p.set.Spec.UpdateStrategy
	if s.Type != appsv1.RollingUpdateStatefulSetStrategyType {
		return p.update
	}
	kept := int(p.set.Status.CurrentReplicas)
	if s.RollingUpdate != nil {
		kept = 0
		if s.RollingUpdate.Partition != nil {
			kept = int(*s.RollingUpdate.Partition)
		}
	}
	if ordinal < start(p.set)+kept {
		return p.current
	}
	return p.update
}

// healthy tells whether the pod serves and goes on to.
func (p *planner) healthy(pod *corev1.Pod) bool {
	ok, _ := available(p.set, pod, p.now)
	return ok && pod.DeletionTimestamp == nil
}

// available tells whether the pod runs and has been ready for long enough; if
// only time is missing, how much.
func available(set *appsv1.StatefulSet, pod *corev1.Pod, now time.Time) (bool, time.Duration) {
	if pod.Status.Phase != corev1.PodRunning {
		return false, 0
	}
	return pods.Available(pod, set.Spec.MinReadySeconds, now)
}
