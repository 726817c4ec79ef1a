// Package stats tells what the node and its pods use: the kubelet's summary,
// the metrics that the metrics server reads, and those that cAdvisor is known
// for. Figures come from the runtime and from the kernel at the time of the
// question: nothing is collected in between, and a node that nobody asks pays
// nothing. Answers of the runtime are shared by questions that come within
// half a second.
//
// What a figure per second needs from before (the summary's use of CPU) the
// package keeps from the question before; after a long pause it looks twice.
package stats

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/knarr-io/knarr/internal/node/cri"
)

const (
	// sharedFor is how old an answer of the runtime may be.
	sharedFor = 500 * time.Millisecond
	// between is how far apart two looks are that follow a pause.
	between = 250 * time.Millisecond
)

// Config is what a Provider asks.
type Config struct {
	NodeName string
	Runtime  *cri.Client
	// Root is the folder that pods' data lie in, LogRoot that of their logs,
	// CgroupRoot the cgroup above kubepods.
	Root, LogRoot, CgroupRoot string
	// PodDir is the folder of a pod's volumes.
	PodDir func(types.UID) string
	// Started is when the node agent started.
	Started time.Time
	// Pods are the node's pods, whose status tells when containers started.
	Pods func() []*corev1.Pod
}

// Provider answers questions for statistics. It is safe for concurrent use.
type Provider struct {
	Config
	rates rates
	sizes sizes

	mu        sync.Mutex // held while the runtime is asked: others wait for the answer
	asked     time.Time
	sandboxes []*runtimeapi.PodSandboxStats
}

// New makes a provider.
func New(c Config) *Provider { return &Provider{Config: c} }

// sandboxStats is what the runtime says of pods, at most maxAge old.
func (p *Provider) sandboxStats(ctx context.Context, maxAge time.Duration) ([]*runtimeapi.PodSandboxStats, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked.IsZero() && time.Since(p.asked) < maxAge {
		return p.sandboxes, nil
	}
	got, err := p.Runtime.SandboxStats(ctx)
	if err != nil {
		return nil, fmt.Errorf("statistics of pods: %w", err)
	}
	p.asked, p.sandboxes = time.Now(), got
	return got, nil
}

// Summary is what the node and each of its pods use; short leaves out all but
// CPU and memory.
func (p *Provider) Summary(ctx context.Context, short bool) (*statsapi.Summary, error) {
	out, err := p.summary(ctx, short)
	if err != nil || !short {
		return out, err
	}
	out.Node.Swap = nil
	for i := range out.Pods {
		shorten(&out.Pods[i])
	}
	return out, nil
}

func (p *Provider) summary(ctx context.Context, short bool) (*statsapi.Summary, error) {
	out, err := p.look(ctx, short)
	if err != nil || !p.rates.stale(time.Now()) {
		return p.rated(out), err
	}
	p.rated(out)
	select {
	case <-time.After(between):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	p.asked = time.Time{} // the second look needs figures of its own
	p.mu.Unlock()
	out, err = p.look(ctx, short)
	return p.rated(out), err
}

// look takes one sample of everything; short leaves out what storage holds and
// what only the whole node has.
func (p *Provider) look(ctx context.Context, short bool) (*statsapi.Summary, error) {
	sandboxes, err := p.sandboxStats(ctx, sharedFor)
	if err != nil {
		return nil, err
	}
	known := p.known()
	out := &statsapi.Summary{Node: p.node(ctx, short), Pods: []statsapi.PodStats{}}
	for _, s := range sandboxes {
		pod := podStats(s)
		k := known[pod.PodRef.UID]
		pod.StartTime = k.started[""]
		for i := range pod.Containers {
			pod.Containers[i].StartTime = k.started[pod.Containers[i].Name]
		}
		if !short {
			p.storage(&pod, k.pod)
		}
		out.Pods = append(out.Pods, pod)
	}
	return out, nil
}

// knownPod is what the API says of a pod: when it (under no name) and its
// containers started.
type knownPod struct {
	pod     *corev1.Pod
	started map[string]metav1.Time
}

func (p *Provider) known() map[string]knownPod {
	out := map[string]knownPod{}
	for _, pod := range p.Pods() {
		k := knownPod{pod, map[string]metav1.Time{}}
		if pod.Status.StartTime != nil {
			k.started[""] = *pod.Status.StartTime
		}
		for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
			for i := range list {
				if r := list[i].State.Running; r != nil {
					k.started[list[i].Name] = r.StartedAt
				}
			}
		}
		out[string(pod.UID)] = k
	}
	return out
}

// shorten leaves CPU and memory.
func shorten(pod *statsapi.PodStats) {
	pod.Network, pod.ProcessStats, pod.Swap, pod.IO = nil, nil, nil, nil
	for i := range pod.Containers {
		c := &pod.Containers[i]
		pod.Containers[i] = statsapi.ContainerStats{Name: c.Name, StartTime: c.StartTime, CPU: c.CPU, Memory: c.Memory}
	}
}
