package replicas

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// deletionCost is the annotation by which a user makes a pod go sooner.
const deletionCost = corev1.PodDeletionCost

// ranked is a pod with what decides when it goes.
type ranked struct {
	pod      *corev1.Pod
	cost     int32
	doubled  int // active pods of the siblings on the same node
	ready    bool
	since    time.Time
	restarts int32 // of regular containers
	sidecars int32 // restarts of sidecars
}

// ToRemove picks the n pods whose loss hurts least, in the order that
// upstream documents for ReplicaSets.
func ToRemove(active, related []*corev1.Pod, n int, now time.Time) []*corev1.Pod {
	if n >= len(active) {
		return slices.Clone(active)
	}
	onNode := map[string]int{}
	for _, pod := range related {
		if pods.Active(pod) {
			onNode[pod.Spec.NodeName]++
		}
	}
	list := make([]ranked, 0, len(active))
	for _, pod := range active {
		list = append(list, ranked{
			pod: pod, cost: cost(pod), doubled: onNode[pod.Spec.NodeName],
			ready: pods.Ready(pod), since: pods.ReadySince(pod),
		})
		r := &list[len(list)-1]
		r.restarts, r.sidecars = restarts(pod)
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return before(a, b, now) })
	out := make([]*corev1.Pod, 0, n)
	for _, r := range list[:n] {
		out = append(out, r.pod)
	}
	return out
}

// before is negative when a goes before b.
func before(a, b ranked, now time.Time) int {
	if c := first(a.pod.Spec.NodeName == "", b.pod.Spec.NodeName == ""); c != 0 {
		return c
	}
	if c := cmp.Compare(phase(a.pod), phase(b.pod)); c != 0 {
		return c
	}
	if c := first(!a.ready, !b.ready); c != 0 {
		return c
	}
	if c := cmp.Compare(a.cost, b.cost); c != 0 {
		return c
	}
	if c := cmp.Compare(b.doubled, a.doubled); c != 0 {
		return c
	}
	if a.ready && b.ready {
		if c := younger(a.since, b.since, a.pod, b.pod, now); c != 0 {
			return c
		}
	}
	if c := cmp.Or(cmp.Compare(b.restarts, a.restarts), cmp.Compare(b.sidecars, a.sidecars)); c != 0 {
		return c
	}
	return younger(a.pod.CreationTimestamp.Time, b.pod.CreationTimestamp.Time, a.pod, b.pod, now)
}

// younger puts the later time first, but only where the ages differ in order
// of magnitude (base 2); within one, the UID decides.
func younger(a, b time.Time, pa, pb *corev1.Pod, now time.Time) int {
	if a.Equal(b) {
		return 0
	}
	if a.IsZero() || b.IsZero() {
		return first(a.IsZero(), b.IsZero())
	}
	if c := cmp.Compare(magnitude(now.Sub(a)), magnitude(now.Sub(b))); c != 0 {
		return c
	}
	return cmp.Compare(pa.UID, pb.UID)
}

func magnitude(age time.Duration) int64 {
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

// first orders what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func phase(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodPending:
		return 0
	case corev1.PodUnknown:
		return 1
	}
	return 2
}

// cost is the annotation's value; zero where it is missing or no number.
func cost(pod *corev1.Pod) int32 {
	n, err := strconv.ParseInt(pod.Annotations[deletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

// restarts is the highest number of restarts among the containers that run as
// long as the pod: regular ones, and sidecars.
func restarts(pod *corev1.Pod) (regular, sidecar int32) {
	for _, c := range pod.Status.ContainerStatuses {
		regular = max(regular, c.RestartCount)
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if isSidecar(pod, c.Name) {
			sidecar = max(sidecar, c.RestartCount)
		}
	}
	return regular, sidecar
}

func isSidecar(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}
