package eviction

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Reason is the reason of evicted pods.
const Reason = "Evicted"

// shortage words why a pod is evicted by a threshold.
func shortage(t Threshold, r Reading, pod *corev1.Pod, u Usage) string {
	name := t.Signal.Resource()
	var out strings.Builder
	fmt.Fprintf(&out, "The node was low on resource: %v. Threshold quantity: %s, available: %s. ",
		name, amount(t.Signal, t.Value.Of(r.Capacity)), amount(t.Signal, r.Available))
	if name != corev1.ResourceMemory && name != corev1.ResourceEphemeralStorage {
		return out.String()
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		cu, known := u.Containers[c.Name]
		used := cu.Memory
		if name == corev1.ResourceEphemeralStorage {
			used = cu.Disk
		}
		asked := c.Resources.Requests[name]
		if known && used > asked.Value() {
			fmt.Fprintf(&out, "Container %s was using %s, request is %s, has larger consumption of %v. ",
				c.Name, resource.NewQuantity(used, resource.BinarySI), asked.String(), name)
		}
	}
	return out.String()
}

// amount writes bytes as quantities, and counts as they are.
func amount(s Signal, n int64) string {
	format := resource.BinarySI
	if name := s.Resource(); name == "inodes" || name == "pids" {
		format = resource.DecimalSI
	}
	return resource.NewQuantity(n, format).String()
}

// Limited tells whether a pod has limits of its own on what it stores.
func Limited(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if e := pod.Spec.Volumes[i].EmptyDir; e != nil && e.SizeLimit != nil && !e.SizeLimit.IsZero() && e.Medium != corev1.StorageMediumMemory {
			return true
		}
	}
	for c := range render.Containers(pod) {
		if q := c.Resources.Limits[corev1.ResourceEphemeralStorage]; !q.IsZero() {
			return true
		}
	}
	return false
}

// Exceeds tells how a pod broke its limits on what it stores: those of its
// emptyDirs, that of the pod as a whole, those of its containers; empty for not.
func Exceeds(pod *corev1.Pod, u Usage) (signal, message string) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil || v.EmptyDir.SizeLimit.IsZero() {
			continue
		}
		if used, known := u.Volumes[v.Name]; known && used > v.EmptyDir.SizeLimit.Value() {
			return "emptydirfs.limit", fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
		}
	}
	if total, all := podLimit(pod); all && u.Disk > total.Value() {
		return "ephemeralpodfs.limit", fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", total.String())
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		limit := c.Resources.Limits[corev1.ResourceEphemeralStorage]
		if cu, known := u.Containers[c.Name]; known && !limit.IsZero() && cu.Disk > limit.Value() {
			return "ephemeralcontainerfs.limit", fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, limit.String())
		}
	}
	return "", ""
}

// podLimit is the sum of the containers' limits; all tells that each has one.
func podLimit(pod *corev1.Pod) (total resource.Quantity, all bool) {
	for i := range pod.Spec.Containers {
		limit := pod.Spec.Containers[i].Resources.Limits[corev1.ResourceEphemeralStorage]
		if limit.IsZero() {
			return total, false
		}
		total.Add(limit)
	}
	return total, len(pod.Spec.Containers) > 0
}
