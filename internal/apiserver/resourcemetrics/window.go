package resourcemetrics

import (
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	// youngest is how far apart two samples are at least, unless the window
	// would become longer than oldest.
	youngest = 10 * time.Second
	oldest   = 2 * every
	// freshFor is how long a container must have run to be judged by its whole
	// life, while there is no sample of it from before.
	freshFor = time.Second
)

// window is what two samples of a node tell. The zero value tells nothing.
type window struct{ before, last *sample }

// with is the window after a further sample.
func (w window) with(s *sample) window {
	switch {
	case w.last == nil:
		return window{last: s}
	case w.before != nil && s.at.Sub(w.last.at) < youngest && s.at.Sub(w.before.at) <= oldest:
		return window{before: w.before, last: s}
	}
	return window{before: w.last, last: s}
}

// complete tells that there is a time between two samples.
func (w window) complete() bool { return w.before != nil }

// used is what was used of CPU and memory, in which window up to when.
type used struct {
	usage  corev1.ResourceList
	window time.Duration
	at     time.Time
}

// between compares two points; ok is false where they tell nothing.
func between(before, last point) (used, bool) {
	span := last.at.Sub(before.at)
	if span <= 0 || last.cpu < before.cpu || !last.complete() {
		return used{}, false
	}
	nanos := (last.cpu - before.cpu) / span.Seconds() * 1e9
	return used{
		usage: corev1.ResourceList{
			corev1.ResourceCPU:    *scaled(nanos, resource.DecimalSI, resource.Nano),
			corev1.ResourceMemory: *scaled(last.memory, resource.BinarySI, 0),
		},
		window: span, at: last.at,
	}, true
}

func scaled(v float64, format resource.Format, scale resource.Scale) *resource.Quantity {
	q := resource.NewScaledQuantity(int64(math.Round(math.Min(v, math.MaxInt64/2))), scale)
	q.Format = format
	return q
}

// node is what the node as a whole used.
func (w window) node() (used, bool) {
	if !w.complete() {
		return used{}, false
	}
	return between(w.before.node, w.last.node)
}

// pod is what each container of a pod used, by name, with the time of the one
// that was looked at first. ok is false unless all are known.
func (w window) pod(name types.NamespacedName) (containers []v1beta1.ContainerMetrics, of used, ok bool) {
	if w.last == nil {
		return nil, used{}, false
	}
	for container, last := range w.last.pods[name] {
		u, known := w.container(name, container, last)
		if !known {
			return nil, used{}, false
		}
		if of.at.IsZero() || u.at.Before(of.at) {
			of = u
		}
		containers = append(containers, v1beta1.ContainerMetrics{Name: container, Usage: u.usage})
	}
	slices.SortFunc(containers, func(a, b v1beta1.ContainerMetrics) int { return strings.Compare(a.Name, b.Name) })
	return containers, of, len(containers) > 0
}

// container compares with the sample before, if it saw this very container,
// and with its start otherwise.
func (w window) container(pod types.NamespacedName, name string, last point) (used, bool) {
	if w.before != nil {
		if before, seen := w.before.pods[pod][name]; seen && before.start.Equal(last.start) {
			if u, ok := between(before, last); ok {
				return u, true
			}
		}
	}
	known := last.at.Add(-every) // from when on its start would have been seen
	if w.before != nil {
		known = w.before.at.Add(-startSlack)
	}
	if last.start.Before(known) || last.at.Sub(last.start) < freshFor {
		return used{}, false
	}
	return between(point{at: last.start}, last)
}

// startSlack is how much earlier than it was a start may be told: times of the
// API are whole seconds, and the status follows the start.
const startSlack = 2 * time.Second
