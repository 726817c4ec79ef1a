package worker

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/images"
	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/objects"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/static"
	"github.com/knarr-io/knarr/internal/node/userns"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// Recorder tells events; *record.Recorder is one.
type Recorder interface {
	EventRef(regarding corev1.ObjectReference, typ, reason, message string)
}

// Cgroups keeps the cgroups of pods; *podcgroup.Manager is one.
type Cgroups interface {
	// Ensure makes the pod's cgroup with its limits; Remove takes it away.
	Ensure(pod *corev1.Pod) error
	Remove(pod *corev1.Pod) error
}

// Deps is what workers work with. All fields are needed unless noted.
type Deps struct {
	Runtime  *cri.Client
	Client   *client.Client
	Objects  *objects.Cache
	Volumes  *volumes.Manager
	Users    *userns.Allocator
	Puller   *images.Puller
	Recorder Recorder
	Services *client.Informer[*corev1.Service]
	Logger   *slog.Logger
	// Metrics counts what workers do; may be nil.
	Metrics *measure.Metrics

	NodeName string
	// Node gives the node as it was last registered; nil before.
	Node func() *corev1.Node
	// HostIPs are the node's addresses, the primary one first.
	HostIPs []string
	LogRoot string
	// Profiles is the folder of localhost seccomp profiles.
	Profiles   string
	CgroupRoot string
	// DefaultSeccomp and NoCPUQuota are settings of all containers; CrashDelay
	// bounds the delay between restarts, where above zero.
	DefaultSeccomp, NoCPUQuota bool
	CrashDelay                 time.Duration
	// MountPatience is how long volumes may take before an event tells of it;
	// zero for upstream's two minutes.
	MountPatience time.Duration
	// UnsafeSysctls are those that pods may set besides the safe ones.
	UnsafeSysctls []string
	// Stopping tells that the node is about to be switched off; may be nil.
	Stopping func() bool
	// Pressure tells whether the node has a condition; may be nil.
	Pressure func(corev1.NodeConditionType) bool
	Cgroups  Cgroups // nil: the runtime makes them as needed
	Cluster  render.Cluster
	// HostResolver reads the machine's resolvers: each pod gets those of the day.
	HostResolver func() render.Resolver
	// MemoryCapacity is the node's memory in bytes.
	MemoryCapacity int64
	// RuntimeName prefixes container ids, as in knarr://<id>.
	RuntimeName string
	// Static are the node's static pods; nil for none.
	Static *static.Source
	// Admit returns when the sandbox's addresses are under the network policies
	// that select the pod; no container starts in it before. May be nil.
	Admit func(ctx context.Context, pod *corev1.Pod, addresses []string) error
	// BeforeStop is called once when a pod begins to end and returns when no
	// new connections reach the pod; bounded by the grace period. May be nil.
	BeforeStop func(ctx context.Context, pod *corev1.Pod) error
}

func (d *Deps) allocatable() corev1.ResourceList {
	if n := d.Node(); n != nil {
		return n.Status.Allocatable
	}
	return nil
}

// podEvent tells an event of the pod.
func (d *Deps) podEvent(pod *corev1.Pod, typ, reason, message string) {
	d.Recorder.EventRef(podReference(pod, ""), typ, reason, message)
}

// containerEvent tells an event of one of the pod's containers.
func (d *Deps) containerEvent(pod *corev1.Pod, container, typ, reason, message string) {
	d.Recorder.EventRef(podReference(pod, fieldPath(pod, container)), typ, reason, message)
}

func podReference(pod *corev1.Pod, path string) corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion, FieldPath: path,
	}
}

// fieldPath is where a container stands in its pod's spec.
func fieldPath(pod *corev1.Pod, container string) string {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == container {
			return "spec.initContainers{" + container + "}"
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == container {
			return "spec.ephemeralContainers{" + container + "}"
		}
	}
	return "spec.containers{" + container + "}"
}
