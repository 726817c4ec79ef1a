package measure

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// Operation counts a call to the runtime.
func (m *Metrics) Operation(name string, took time.Duration, err error) {
	if m == nil {
		return
	}
	m.operations.WithLabelValues(name).Inc()
	m.operationTime.WithLabelValues(name).Observe(took.Seconds())
	if err != nil {
		m.operationErrors.WithLabelValues(name).Inc()
	}
}

// SandboxRun counts a sandbox that was made for a pod, or could not be.
func (m *Metrics) SandboxRun(handler string, took time.Duration, err error) {
	if m == nil {
		return
	}
	m.sandboxTime.WithLabelValues(handler).Observe(took.Seconds())
	m.podsStarted.Inc()
	if err != nil {
		m.sandboxErrors.WithLabelValues(handler).Inc()
		m.podsFailed.WithLabelValues("CreatePodSandboxError").Inc()
	}
}

// ContainerStarted counts a start; reason is why it failed, or empty.
func (m *Metrics) ContainerStarted(pod *corev1.Pod, container, reason string) {
	if m == nil {
		return
	}
	kind := containerType(pod, container)
	m.containersStarted.WithLabelValues(kind).Inc()
	if reason != "" {
		m.containersFailed.WithLabelValues(kind, reason).Inc()
	}
}

func containerType(pod *corev1.Pod, name string) string {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return "init_container"
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return "ephemeral_container"
		}
	}
	return "container"
}

// PodRunning counts a pod that began to run, since the agent first saw it.
// waits are when images were pulled for it and init containers ran, which its
// start is not blamed for.
func (m *Metrics) PodRunning(pod *corev1.Pod, seen, now time.Time, waits ...Span) {
	if m == nil {
		return
	}
	m.podStart.Observe(now.Sub(seen).Seconds())
	total := now.Sub(pod.CreationTimestamp.Time)
	m.podStartTotal.Observe(total.Seconds())
	m.podStartSLI.Observe(max(total-covered(waits, pod.CreationTimestamp.Time, now), 0).Seconds())
}

// Evicted counts an eviction for a signal, by figures of that age.
func (m *Metrics) Evicted(signal string, age time.Duration) {
	if m == nil {
		return
	}
	m.evictions.WithLabelValues(signal).Inc()
	m.evictionAge.WithLabelValues(signal).Observe(age.Seconds())
}

// PodRejected counts a pod that the node did not take.
func (m *Metrics) PodRejected(reason string) {
	if m != nil {
		m.rejected.WithLabelValues(reason).Inc()
	}
}

// ImagePulled tells how long an image of a size in bytes took.
func (m *Metrics) ImagePulled(size uint64, took time.Duration) {
	if m != nil {
		m.pulls.WithLabelValues(sizeClass(size)).Observe(took.Seconds())
	}
}

// sizeClass is the label that upstream gives an image of a size.
func sizeClass(size uint64) string {
	const mb = 1 << 20
	classes := []struct {
		above uint64 // MiB
		label string
	}{
		{100 << 10, "GT100GB"}, {60 << 10, "60GB-100GB"}, {40 << 10, "40GB-60GB"}, {30 << 10, "30GB-40GB"}, {20 << 10, "20GB-30GB"},
		{10 << 10, "10GB-20GB"}, {5 << 10, "5GB-10GB"}, {1 << 10, "1GB-5GB"}, {500, "500MB-1GB"}, {100, "100MB-500MB"}, {10, "10MB-100MB"}, {0, "0-10MB"},
	}
	for _, c := range classes {
		if size > c.above*mb {
			return c.label
		}
	}
	return "N/A"
}

// Results of probes, as upstream names them.
const (
	ProbeSuccessful = "successful"
	ProbeFailed     = "failed"
	ProbeUnknown    = "unknown"
)

// Probed counts one try of a probe.
func (m *Metrics) Probed(pod *corev1.Pod, container, kind, result string, took time.Duration) {
	if m == nil {
		return
	}
	m.probed.WithLabelValues(kind, result, container, pod.Name, pod.Namespace, string(pod.UID)).Inc()
	m.probeTime.WithLabelValues(kind, container, pod.Name, pod.Namespace).Observe(took.Seconds())
}

// Forget drops the series of a pod that is gone.
func (m *Metrics) Forget(pod *corev1.Pod) {
	if m == nil {
		return
	}
	m.probed.DeletePartialMatch(prometheus.Labels{"pod_uid": string(pod.UID)})
	m.probeTime.DeletePartialMatch(prometheus.Labels{"pod": pod.Name, "namespace": pod.Namespace})
}
