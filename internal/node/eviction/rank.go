package eviction

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/node/static"
)

// criticalPriority is where priorities of the system begin.
const criticalPriority = 2_000_000_000

// Usage is what a pod takes of the node.
type Usage struct {
	Memory    int64 // working set, bytes
	Disk      int64 // writable layers, logs and emptyDirs on the disk, bytes
	Inodes    int64
	Processes int64
	// Containers is what each takes, by name.
	Containers map[string]ContainerUsage
	// Volumes are the bytes of emptyDirs on the disk, by name.
	Volumes map[string]int64
	// Known is set once the pod was measured.
	Known bool
}

// ContainerUsage is what a container takes: Disk is its writable layer and
// its log.
type ContainerUsage struct{ Memory, Disk int64 }

// Critical tells pods that are never evicted: static ones and those of the
// system's priorities.
func Critical(pod *corev1.Pod) bool {
	return pod.Annotations[static.AnnotationSource] == "file" || static.IsMirror(pod) || priority(pod) >= criticalPriority
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// of is how much of a resource the pod takes, and how much it asked for.
func (u Usage) of(name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceMemory:
		return u.Memory
	case corev1.ResourceEphemeralStorage:
		return u.Disk
	case "inodes":
		return u.Inodes
	}
	return u.Processes
}

func request(pod *corev1.Pod, name corev1.ResourceName) int64 {
	if name != corev1.ResourceMemory && name != corev1.ResourceEphemeralStorage {
		return 0
	}
	list := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{UseStatusResources: true})
	q := list[name]
	return q.Value()
}

// Rank orders pods for a shortage of the resource, the first to be evicted
// first: those that take more than they asked for, then by priority, then by how
// much more they take. Process ids are nothing that one asks for: there the
// priority comes first. Pods that were not measured go before others.
func Rank(name corev1.ResourceName, pods []*corev1.Pod, usage func(*corev1.Pod) Usage) []*corev1.Pod {
	type candidate struct {
		pod           *corev1.Pod
		over          int64
		exceeds, seen bool
	}
	list := make([]candidate, len(pods))
	for i, pod := range pods {
		u := usage(pod)
		over := u.of(name) - request(pod, name)
		list[i] = candidate{pod: pod, over: over, seen: u.Known, exceeds: !u.Known || over > 0}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		byPriority := cmp.Compare(priority(a.pod), priority(b.pod))
		if name == "pids" {
			return cmp.Or(byPriority, cmp.Compare(b.over, a.over))
		}
		return cmp.Or(first(a.exceeds, b.exceeds), byPriority, first(!a.seen, !b.seen), cmp.Compare(b.over, a.over))
	})
	out := make([]*corev1.Pod, len(list))
	for i := range list {
		out[i] = list[i].pod
	}
	return out
}

// first puts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
