package stats

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// stateTime bounds what one scrape of the agent's own metrics may ask.
const stateTime = 10 * time.Second

// State tells how many pods and containers there are, and how full the volumes
// of claims are, each time that the agent's metrics are read.
func (p *Provider) State() prometheus.Collector { return stateCollector{p} }

type stateCollector struct{ p *Provider }

// Describe sends nothing: the series depend on the pods.
func (stateCollector) Describe(chan<- *prometheus.Desc) {}

// Collect counts what the API says of the node's pods.
func (c stateCollector) Collect(out chan<- prometheus.Metric) {
	e := newEmitter(out)
	pods, containers := c.p.Pods(), map[string]float64{}
	running, ephemeral := 0.0, 0.0
	desired := map[bool]float64{false: 0}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
			desired[isStatic(pod)]++
		}
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
		ephemeral += float64(len(pod.Spec.EphemeralContainers))
		countStates(pod, containers)
	}
	none := time.Time{}
	e.send(gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox"), running, none)
	for state, n := range containers {
		e.send(gauge("kubelet_running_containers", "Number of containers currently running", "container_state"), n, none, state)
	}
	for static, n := range desired {
		label := strconv.FormatBool(static)
		e.send(gauge("kubelet_desired_pods", "The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.", "static"), n, none, label)
		e.send(gauge("kubelet_active_pods", "The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver.", "static"), n, none, label)
	}
	e.send(gauge("kubelet_managed_ephemeral_containers", "Current number of ephemeral containers in pods managed by this kubelet."), ephemeral, none)
	c.p.claims(e, pods)
}

// isStatic tells of a pod that a file describes.
func isStatic(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

func countStates(pod *corev1.Pod, into map[string]float64) {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			switch {
			case list[i].State.Running != nil:
				into["running"]++
			case list[i].State.Terminated != nil:
				into["exited"]++
			case list[i].State.Waiting != nil && list[i].ContainerID != "":
				into["created"]++
			}
		}
	}
}

// claims sends how full the volumes of persistent volume claims are.
func (p *Provider) claims(e *emitter, pods []*corev1.Pod) {
	ctx, cancel := context.WithTimeout(context.Background(), stateTime)
	defer cancel()
	seen := map[statsapi.PVCReference]bool{}
	for _, pod := range pods {
		if ctx.Err() != nil {
			return
		}
		for _, v := range p.claimVolumes(pod) {
			if seen[*v.PVCRef] {
				continue
			}
			seen[*v.PVCRef] = true
			for _, f := range []struct {
				name, help string
				value      *uint64
			}{
				{"capacity_bytes", "Capacity in bytes of the volume", v.CapacityBytes},
				{"available_bytes", "Number of available bytes in the volume", v.AvailableBytes},
				{"used_bytes", "Number of used bytes in the volume", v.UsedBytes},
				{"inodes", "Maximum number of inodes in the volume", v.Inodes},
				{"inodes_free", "Number of free inodes in the volume", v.InodesFree},
				{"inodes_used", "Number of used inodes in the volume", v.InodesUsed},
			} {
				if f.value != nil {
					e.send(gauge("kubelet_volume_stats_"+f.name, f.help, "namespace", "persistentvolumeclaim"), float64(*f.value), time.Time{}, v.PVCRef.Namespace, v.PVCRef.Name)
				}
			}
		}
	}
}
