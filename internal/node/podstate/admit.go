package podstate

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Admit decides whether the node takes a pod beside the others that it has;
// nil when it does. Reasons and messages are upstream's.
func Admit(pod *corev1.Pod, others []*corev1.Pod, node *corev1.Node) *Verdict {
	if v := fits(pod, others, node.Status.Allocatable); v != nil {
		return v
	}
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !ok {
		return rejected("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
	}
	if portsTaken(pod, others) {
		return rejected("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
	}
	if os := pod.Spec.OS; os != nil && os.Name != corev1.Linux {
		return rejected("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
	}
	return nil
}

func rejected(reason, message string) *Verdict {
	return &Verdict{Reason: reason, Message: "Pod was rejected: " + message}
}

// fits checks the pod's requests against what the node can still give.
func fits(pod *corev1.Pod, others []*corev1.Pod, allocatable corev1.ResourceList) *Verdict {
	if limit, ok := allocatable[corev1.ResourcePods]; ok && int64(len(others)) >= limit.Value() {
		return lacking(corev1.ResourcePods, 1, int64(len(others)), limit.Value())
	}
	used := sumOf(others)
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		q := requests[name]
		free := allocatable[name].DeepCopy()
		free.Sub(used[name])
		if !q.IsZero() && q.Cmp(free) > 0 {
			return lacking(name, amount(name, q), amount(name, used[name]), amount(name, allocatable[name]))
		}
	}
	return nil
}

// amount counts CPU in thousandths and everything else in units.
func amount(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

func lacking(name corev1.ResourceName, asked, used, capacity int64) *Verdict {
	return rejected("OutOf"+string(name), fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, asked, used, capacity))
}

type hostPort struct {
	ip       string
	protocol corev1.Protocol
	port     int32
}

func portsTaken(pod *corev1.Pod, others []*corev1.Pod) bool {
	mine := hostPorts(pod)
	if len(mine) == 0 {
		return false
	}
	for _, o := range others {
		for _, p := range hostPorts(o) {
			for _, q := range mine {
				if p.port == q.port && p.protocol == q.protocol && (p.ip == q.ip || p.ip == "0.0.0.0" || q.ip == "0.0.0.0") {
					return true
				}
			}
		}
	}
	return false
}

func hostPorts(pod *corev1.Pod) []hostPort {
	var out []hostPort
	for c := range render.Containers(pod) {
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			hp := hostPort{ip: p.HostIP, protocol: p.Protocol, port: p.HostPort}
			if hp.ip == "" {
				hp.ip = "0.0.0.0"
			}
			if hp.protocol == "" {
				hp.protocol = corev1.ProtocolTCP
			}
			out = append(out, hp)
		}
	}
	return out
}
