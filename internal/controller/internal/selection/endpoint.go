package selection

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// Candidate tells whether a selected pod can be an endpoint at all.
func Candidate(pod *corev1.Pod) bool {
	return !pods.Finished(pod) && len(pod.Status.PodIPs)+len(pod.Status.PodIP) > 0
}

// Relevant tells whether a change of a pod can change an endpoint.
func Relevant(old, new *corev1.Pod) bool {
	if old == nil || new == nil {
		return true
	}
	return old.Status.Phase != new.Status.Phase ||
		old.Status.PodIP != new.Status.PodIP ||
		old.Spec.NodeName != new.Spec.NodeName ||
		old.Spec.Hostname != new.Spec.Hostname || old.Spec.Subdomain != new.Spec.Subdomain ||
		pods.Ready(old) != pods.Ready(new) ||
		(old.DeletionTimestamp == nil) != (new.DeletionTimestamp == nil) ||
		!slices.Equal(old.Status.PodIPs, new.Status.PodIPs) ||
		!maps.Equal(old.Labels, new.Labels)
}

// Hostname is the name that a pod has under a headless Service; empty for
// none.
func Hostname(pod *corev1.Pod, svc *corev1.Service) string {
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == svc.Name && pod.Namespace == svc.Namespace {
		return pod.Spec.Hostname
	}
	return ""
}

// TargetPort is the number of a Service's port on the pod; false where the
// pod has no port of that name and protocol.
func TargetPort(pod *corev1.Pod, port *corev1.ServicePort) (int32, bool) {
	if port.TargetPort.Type == 0 { // a number
		if port.TargetPort.IntVal == 0 {
			return port.Port, true
		}
		return port.TargetPort.IntVal, true
	}
	for _, c := range pod.Spec.Containers {
		if n, ok := named(&c, port); ok {
			return n, true
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			if n, ok := named(&c, port); ok {
				return n, true
			}
		}
	}
	return 0, false
}

func named(c *corev1.Container, port *corev1.ServicePort) (int32, bool) {
	for _, p := range c.Ports {
		if p.Name == port.TargetPort.StrVal && protocol(p.Protocol) == protocol(port.Protocol) {
			return p.ContainerPort, true
		}
	}
	return 0, false
}

func protocol(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}
