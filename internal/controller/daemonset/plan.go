package daemonset

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// burst is the most pods created or deleted in one run, as upstream's.
const burst = 250

// input is everything that a plan looks at. Nothing in it is changed.
type input struct {
	ds    *appsv1.DaemonSet
	hash  string // of the present template
	nodes []*corev1.Node
	pods  map[string][]*corev1.Pod // by node, finished and terminating ones included
	// backoff is for how long a node's next pod is to wait because its last
	// ones failed.
	backoff func(node string) time.Duration
	now     time.Time
}

// why a pod is removed, as far as users are told.
type why int

const (
	unwanted why = iota
	failed
	succeeded
)

type removal struct {
	pod *corev1.Pod
	why why
}

// work is what one run does. wait is the time until a failed pod may be
// replaced; zero when none waits.
type work struct {
	create []string // names of nodes
	remove []removal
	wait   time.Duration
}

// plan brings the right pods to the right nodes; once there is nothing to do
// about that, it goes on with a rolling update.
func plan(in input) work {
	in = sorted(in)
	w := place(in)
	if len(w.create)+len(w.remove) == 0 && in.ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		update := roll(in)
		w.create, w.remove = update.create, update.remove
	}
	w.create = w.create[:min(len(w.create), burst)]
	w.remove = w.remove[:min(len(w.remove), burst)]
	return w
}

// sorted puts nodes in the order of their names, so that a plan is the same
// whatever order a cache lists them in.
func sorted(in input) input {
	in.nodes = slices.Clone(in.nodes)
	slices.SortFunc(in.nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	return in
}

// place decides node by node.
func place(in input) work {
	var w work
	placer := newPlacer(in.ds)
	known := make(map[string]bool, len(in.nodes))
	surge, _ := limits(in.ds, len(in.nodes))
	for _, node := range in.nodes {
		known[node.Name] = true
		here := in.pods[node.Name]
		switch run, keep := placer.fits(node); {
		case run && len(here) == 0:
			w.create = append(w.create, node.Name)
		case keep:
			w.tidy(in, node.Name, here, surge > 0)
		default:
			for _, pod := range here {
				w.drop(pod, unwanted)
			}
		}
	}
	for node, stranded := range in.pods {
		if known[node] {
			continue
		}
		for _, pod := range stranded {
			if pod.Spec.NodeName == "" { // the scheduler would wait for ever
				w.drop(pod, unwanted)
			}
		}
	}
	return w
}

func (w *work) drop(pod *corev1.Pod, why why) {
	if pod.DeletionTimestamp == nil {
		w.remove = append(w.remove, removal{pod, why})
	}
}

// tidy removes finished pods of a node, and all but one of the others; where
// surging is allowed, all but one of each of old and new.
func (w *work) tidy(in input, node string, here []*corev1.Pod, surge bool) {
	var running []*corev1.Pod
	for _, pod := range here {
		switch {
		case pod.DeletionTimestamp != nil:
		case pod.Status.Phase == corev1.PodFailed:
			if left := in.backoff(node); left > 0 {
				if w.wait == 0 || left < w.wait {
					w.wait = left
				}
				continue
			}
			w.drop(pod, failed)
		case pod.Status.Phase == corev1.PodSucceeded:
			w.drop(pod, succeeded)
		default:
			running = append(running, pod)
		}
	}
	if len(running) < 2 {
		return
	}
	oldestFirst(running)
	if !surge {
		for _, pod := range running[1:] {
			w.drop(pod, unwanted)
		}
		return
	}
	w.tidySurge(in, running)
}

func (w *work) tidySurge(in input, running []*corev1.Pod) {
	var oldPod, newPod *corev1.Pod
	for _, pod := range running {
		switch isNew := current(in.ds, in.hash, pod); {
		case isNew && newPod == nil:
			newPod = pod
		case !isNew && oldPod == nil:
			oldPod = pod
		default:
			w.drop(pod, unwanted)
		}
	}
	if oldPod != nil && newPod != nil && (!pods.Ready(oldPod) || in.available(newPod)) {
		w.drop(oldPod, unwanted)
	}
}

// oldestFirst puts pods that have a node before those that have none, then
// older ones first.
func oldestFirst(list []*corev1.Pod) {
	slices.SortStableFunc(list, func(a, b *corev1.Pod) int {
		if (a.Spec.NodeName == "") != (b.Spec.NodeName == "") {
			if a.Spec.NodeName != "" {
				return -1
			}
			return 1
		}
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

func (in input) available(pod *corev1.Pod) bool {
	ok, _ := pods.Available(pod, in.ds.Spec.MinReadySeconds, in.now)
	return ok
}

// limits are the numbers of nodes on which a rolling update may run a second
// pod, or have none that serves.
func limits(ds *appsv1.DaemonSet, nodes int) (surge, unavailable int) {
	r := ds.Spec.UpdateStrategy.RollingUpdate
	if ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || r == nil {
		return 0, 1
	}
	surge, unavailable = scaled(r.MaxSurge, nodes), scaled(r.MaxUnavailable, nodes)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

func scaled(n *intstr.IntOrString, of int) int {
	if n == nil {
		return 0
	}
	v, err := intstr.GetScaledValueFromIntOrPercent(n, of, true)
	if err != nil {
		return 0
	}
	return v
}
