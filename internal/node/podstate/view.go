package podstate

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Instance is one run of a container, as the runtime last told.
type Instance struct {
	Status    *runtimeapi.ContainerStatus
	SandboxID string
	// Message is the termination message, read once the instance has exited.
	Message string
	// EndSeen is when the agent learned of the instance's end, with a monotonic
	// reading: what waits counts from it, wherever the clock is set meanwhile.
	EndSeen time.Time
}

// ID is the runtime's id of the instance.
func (i *Instance) ID() string { return i.Status.GetId() }

// Running tells that the instance's process runs.
func (i *Instance) Running() bool {
	return i.Status.GetState() == runtimeapi.ContainerState_CONTAINER_RUNNING
}

// Exited tells that the instance's process has ended.
func (i *Instance) Exited() bool {
	return i.Status.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
}

// Unknown tells that the runtime has lost track of the instance.
func (i *Instance) Unknown() bool {
	return i.Status.GetState() == runtimeapi.ContainerState_CONTAINER_UNKNOWN
}

// mayRun tells that the instance has to be stopped before anything takes its place.
func (i *Instance) mayRun() bool { return i.Running() || i.Unknown() }

// Attempt counts the runs of the container before this one.
func (i *Instance) Attempt() uint32 { return uint32(render.RestartCount(i.Status)) }

// Finished is when the instance's process ended.
func (i *Instance) Finished() time.Time { return time.Unix(0, i.Status.GetFinishedAt()) }

// ended is when the instance's end is counted from.
func (i *Instance) ended() time.Time {
	if i.EndSeen.IsZero() {
		return i.Finished()
	}
	return i.EndSeen
}

// WaitsUntil is when an instance that ended may be followed by the next.
func (i *Instance) WaitsUntil(b Backoff) time.Time { return b.Until(i.ended()) }

// Waiting is why a container does not run, in the words of its status.
type Waiting struct{ Reason, Message string }

// Probe is what an instance's probes have found.
type Probe struct {
	Started, Ready bool
	// Failed is "liveness" or "startup" once that probe has given up.
	Failed string
}

// Stop says that the pod is to end.
type Stop struct {
	Since    time.Time
	Deadline time.Time // when what still runs is killed
	// Gone is set when the API holds the pod no more: no status is written.
	Gone bool
	// Reason is told in Killing events; empty for an ordinary deletion.
	Reason string
}

// Verdict ends a pod for good with phase Failed.
type Verdict struct {
	Reason, Message string
	// Deadline is when what still runs is killed; zero leaves the pod its own
	// grace period.
	Deadline time.Time
	// Disruption adds the condition DisruptionTarget: the pod is not to blame.
	Disruption bool
}

// OpKind is what an action does.
type OpKind string

// The actions that a plan can hold.
const (
	MountVolumes    OpKind = "mount-volumes"
	RunSandbox      OpKind = "run-sandbox"
	AdmitSandbox    OpKind = "admit-sandbox" // under the network policies
	StopSandbox     OpKind = "stop-sandbox"
	PullImage       OpKind = "pull-image"
	StartContainer  OpKind = "start-container"
	StopContainer   OpKind = "stop-container"
	RemoveContainer OpKind = "remove-container"
	ResizeContainer OpKind = "resize-container"
	BeforeStop      OpKind = "before-stop"
	Release         OpKind = "release" // volumes and cgroups, after the last container
)

// Op names an action under way: at most one of a kind and target at a time.
type Op struct {
	Kind OpKind
	// Target is a container's name (pull, start), an instance's id (stop,
	// remove, resize), a sandbox's id, WholeKey, or empty.
	Target string
}

// Action is one thing to do. The fields beyond Op depend on its kind.
type Action struct {
	Op
	Container string // name, for what concerns a container
	Attempt   uint32 // of the container or sandbox to make
	Grace     time.Duration
	// Replace marks the stop of an instance that is to be made anew.
	Replace bool
	// Reason and Message describe a stop in its event.
	Reason, Message string
}

// View is all that a decision depends on. Next and Status only read it.
type View struct {
	Pod     *corev1.Pod
	HostIPs []string
	// RuntimeName prefixes container ids in the status.
	RuntimeName string
	// FirstSeen stands in for status.startTime until the API has it.
	FirstSeen time.Time

	Verdict *Verdict
	Stop    *Stop

	// VolumesReady, Released, BeforeStopDone are set by finished actions.
	VolumesReady, Released, BeforeStopDone bool

	Sandboxes []*runtimeapi.PodSandboxStatus // newest first
	// NeedsAdmission: no container starts in a sandbox before that is the one
	// whose id is Admitted, set by a finished action.
	NeedsAdmission bool
	Admitted       string
	Instances      map[string][]*Instance // by container name, newest first
	// Ops holds what is under way; the time is the deadline of a stop.
	Ops map[Op]time.Time
	// Images holds the image ids of containers that may be started now.
	Images map[string]string
	// Waiting is why the last try to start a container failed; NotBefore is
	// when the next may be made, by container, by instance (to stop it), ""
	// for volumes and the sandbox, and ReleaseKey.
	Waiting   map[string]Waiting
	NotBefore map[string]time.Time
	Crash     map[string]Backoff
	// CrashDelay bounds the delays in Crash; MaxDelay where zero.
	CrashDelay time.Duration
	Probes     map[string]Probe // by instance id
	// Lean keeps no ended instances but the newest, since the disk is full.
	Lean bool
	// Replaced holds the instances that the agent ended to make them anew: they
	// are run again whatever the restart policy says.
	Replaced map[string]bool
	// Allocated is what the node has granted the pod; Pending why not more.
	Allocated Allocation
	Pending   *Pending
	// ResizeFailed says why running instances do not have what was granted.
	ResizeFailed map[string]string
	// Resized holds the resources that running instances were last given.
	Resized map[string]corev1.ResourceRequirements
	// Whole is what the pod's cgroup was last given where the pod has resources
	// of its own; nil while it has none.
	Whole *corev1.ResourceRequirements
}

// WholeKey stands for the pod's own cgroup in NotBefore, in ResizeFailed, and
// as the target of ResizeContainer.
const WholeKey = "/pod"

// AdmitKey is the entry of View.NotBefore for a sandbox that was not admitted.
const AdmitKey = "/admit"

// ReleaseKey is the entry of View.NotBefore for sandboxes that would not stop
// and volumes that would not go.
const ReleaseKey = "/release"

// NewView is a view of a pod of which the runtime knows nothing.
func NewView(pod *corev1.Pod) *View {
	return &View{
		Pod: pod, Instances: map[string][]*Instance{}, Ops: map[Op]time.Time{}, Images: map[string]string{},
		Waiting: map[string]Waiting{}, NotBefore: map[string]time.Time{}, Crash: map[string]Backoff{},
		Probes: map[string]Probe{}, Replaced: map[string]bool{}, Resized: map[string]corev1.ResourceRequirements{},
		ResizeFailed: map[string]string{},
	}
}

// Sandbox is the newest sandbox if it is ready, else nil.
func (v *View) Sandbox() *runtimeapi.PodSandboxStatus {
	if len(v.Sandboxes) == 0 || v.Sandboxes[0].GetState() != runtimeapi.PodSandboxState_SANDBOX_READY {
		return nil
	}
	return v.Sandboxes[0]
}

// PodIPs are the addresses of the pod's sandbox; the status's where the
// sandbox is gone.
func (v *View) PodIPs() []string {
	if v.Pod.Spec.HostNetwork {
		if len(v.Sandboxes) > 0 {
			return v.HostIPs
		}
		return nil
	}
	var ips []string
	if len(v.Sandboxes) > 0 {
		net := v.Sandboxes[0].GetNetwork()
		if net.GetIp() != "" {
			ips = append(ips, net.GetIp())
		}
		for _, a := range net.GetAdditionalIps() {
			ips = append(ips, a.GetIp())
		}
	}
	if len(ips) == 0 {
		for _, ip := range v.Pod.Status.PodIPs {
			ips = append(ips, ip.IP)
		}
	}
	return ips
}

// Newest is the container's latest instance, or nil.
func (v *View) Newest(name string) *Instance {
	if list := v.Instances[name]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// in is the container's latest instance if it lives in the sandbox.
func (v *View) in(name, sandbox string) *Instance {
	if i := v.Newest(name); i != nil && i.SandboxID == sandbox {
		return i
	}
	return nil
}

func (v *View) busy(kind OpKind, target string) bool {
	_, ok := v.Ops[Op{Kind: kind, Target: target}]
	return ok
}

// busyWith tells whether any action of one of the kinds is under way.
func (v *View) busyWith(kinds ...OpKind) bool {
	for op := range v.Ops {
		for _, k := range kinds {
			if op.Kind == k {
				return true
			}
		}
	}
	return false
}

// started tells that the container counts as started: its process runs, its
// postStart hook is done and its startup probe has succeeded.
func (v *View) started(c *corev1.Container, i *Instance) bool {
	if i == nil || !i.Running() || v.busy(StartContainer, c.Name) {
		return false
	}
	return c.StartupProbe == nil || v.Probes[i.ID()].Started
}

func (v *View) ready(c *corev1.Container, i *Instance) bool {
	return v.started(c, i) && (c.ReadinessProbe == nil || v.Probes[i.ID()].Ready)
}

// anyRunning tells whether an instance of the pod still runs, or may.
func (v *View) anyRunning() bool {
	for _, list := range v.Instances {
		for _, i := range list {
			if i.mayRun() {
				return true
			}
		}
	}
	return false
}
