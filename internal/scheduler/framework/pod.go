package framework

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Pod is a pod that looks for a node, with what is worked out of it once.
type Pod struct {
	*corev1.Pod
	Usage
	// HasAffinity is false where the pod has neither a nodeSelector nor required
	// node affinity: then it Wants every node.
	HasAffinity bool
	// Terms are about other pods; nil for none.
	Terms *Terms

	affinity nodeaffinity.RequiredNodeAffinity
	choice   choice
}

// Usage is what a pod takes up on its node; it stays in memory for as long as
// the pod runs.
type Usage struct {
	Requests Resource
	// ScoreCPU (milli) and ScoreMemory (bytes) are the requests for scoring.
	ScoreCPU, ScoreMemory int64
	Ports                 []Port
}

// Port is a port of the host that a pod takes.
type Port struct {
	Address  string // empty: all
	Protocol corev1.Protocol
	Number   int32
}

// NewPod works a pod out.
func NewPod(pod *corev1.Pod) *Pod {
	return &Pod{
		Pod: pod, Usage: UsageOf(pod), affinity: nodeaffinity.GetRequiredNodeAffinity(pod), Terms: TermsOf(pod),
		HasAffinity: len(pod.Spec.NodeSelector) > 0 || pod.Spec.Affinity != nil && pod.Spec.Affinity.NodeAffinity != nil &&
			pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil,
	}
}

// UsageOf works out what a pod takes.
func UsageOf(pod *corev1.Pod) Usage {
	u := Usage{Requests: requests(pod)}
	u.ScoreCPU, u.ScoreMemory = scored(pod)
	for i := range pod.Spec.Containers {
		u.Ports = hostPorts(u.Ports, &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			u.Ports = hostPorts(u.Ports, c)
		}
	}
	return u
}

func hostPorts(out []Port, c *corev1.Container) []Port {
	for _, p := range c.Ports {
		if p.HostPort <= 0 {
			continue
		}
		port := Port{Address: p.HostIP, Protocol: p.Protocol, Number: p.HostPort}
		if port.Address == "0.0.0.0" || port.Address == "::" {
			port.Address = ""
		}
		if port.Protocol == "" {
			port.Protocol = corev1.ProtocolTCP
		}
		out = append(out, port)
	}
	return out
}

// Collides tells whether two pods cannot both have the ports.
func (p Port) Collides(other Port) bool {
	return p.Number == other.Number && p.Protocol == other.Protocol &&
		(p.Address == "" || other.Address == "" || p.Address == other.Address)
}

// Priority is the pod's priority; zero where admission gave none.
func Priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}
