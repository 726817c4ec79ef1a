package podstate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// life is a pod whose actions take effect, or fail, in an order that rapid
// chooses, while containers end and the sandbox is lost now and then.
type life struct {
	t    *rapid.T
	v    *View
	now  time.Time
	next int
}

func (l *life) plan() Plan {
	p := Next(l.v, l.now)
	seen := map[Op]bool{}
	for _, a := range p.Actions {
		l.check(a, seen)
		seen[a.Op] = true
		l.v.Ops[a.Op] = l.now.Add(a.Grace)
	}
	return p
}

// check holds an action against the package's invariants.
func (l *life) check(a Action, seen map[Op]bool) {
	if _, busy := l.v.Ops[a.Op]; busy && a.Kind != StopContainer || seen[a.Op] {
		l.t.Fatalf("%v is planned while it is under way", a.Op)
	}
	switch a.Kind {
	case PullImage, StartContainer, RunSandbox, MountVolumes:
		if l.v.Stop != nil {
			l.t.Fatalf("a stopping pod does %v", a.Op)
		}
		if a.Kind == StartContainer && (l.v.Sandbox() == nil || !l.v.VolumesReady) {
			l.t.Fatalf("%v without sandbox or volumes", a.Op)
		}
	case StopSandbox, Release:
		if l.v.anyRunning() {
			l.t.Fatalf("%v while a container runs", a.Op)
		}
	case RemoveContainer:
		for _, list := range l.v.Instances {
			if len(list) > 0 && list[0].ID() == a.Target {
				l.t.Fatalf("the newest instance %s is removed", a.Target)
			}
		}
	}
}

// finish ends an action under way, well or badly.
func (l *life) finish(op Op, well bool) {
	delete(l.v.Ops, op)
	if !well {
		if op.Kind == StartContainer {
			l.v.Waiting[op.Target] = Waiting{Reason: "CreateContainerError"}
		}
		return
	}
	switch op.Kind {
	case MountVolumes:
		l.v.VolumesReady = true
	case RunSandbox:
		l.next++
		s := &runtimeapi.PodSandboxStatus{Id: fmt.Sprint("s", l.next), Metadata: &runtimeapi.PodSandboxMetadata{Attempt: uint32(len(l.v.Sandboxes))},
			Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.0.0.1"}}
		l.v.Sandboxes = append([]*runtimeapi.PodSandboxStatus{s}, l.v.Sandboxes...)
	case PullImage:
		l.v.Images[op.Target] = "x"
	case StartContainer:
		l.started(op.Target)
	case StopContainer:
		l.end(op.Target, 0)
	case RemoveContainer:
		for name, list := range l.v.Instances {
			l.v.Instances[name] = slices.DeleteFunc(list, func(i *Instance) bool { return i.ID() == op.Target })
		}
	case StopSandbox:
		for i, s := range l.v.Sandboxes {
			if s.Id == op.Target {
				l.v.Sandboxes[i] = &runtimeapi.PodSandboxStatus{Id: s.Id, Metadata: s.Metadata, State: runtimeapi.PodSandboxState_SANDBOX_NOTREADY}
			}
		}
	case BeforeStop:
		l.v.BeforeStopDone = true
	case Release:
		l.v.Released = true
	}
}

func (l *life) started(name string) {
	delete(l.v.Images, name)
	attempt := l.v.nextAttempt(name)
	l.next++
	i := &Instance{SandboxID: l.v.Sandboxes[0].Id, Status: &runtimeapi.ContainerStatus{
		Id: fmt.Sprint("c", l.next), State: runtimeapi.ContainerState_CONTAINER_RUNNING, Metadata: &runtimeapi.ContainerMetadata{Name: name}, StartedAt: l.now.UnixNano(),
		Annotations: map[string]string{render.AnnotationRestartCount: fmt.Sprint(attempt), render.AnnotationHash: render.ContainerHash(render.Find(l.v.Pod, name))},
	}}
	if last := l.v.Newest(name); last != nil && last.Exited() {
		l.v.Crash[name] = l.v.Crash[name].Next(last.Finished(), l.now)
	}
	if l.v.Sandbox() == nil {
		i.Status.State, i.Status.ExitCode, i.Status.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, 255, l.now.UnixNano()
	}
	l.v.Instances[name] = append([]*Instance{i}, l.v.Instances[name]...)
}

func (l *life) end(id string, code int32) {
	for _, list := range l.v.Instances {
		for n, i := range list {
			if i.ID() == id && i.Running() {
				st := &runtimeapi.ContainerStatus{Id: id, State: runtimeapi.ContainerState_CONTAINER_EXITED, ExitCode: code, Metadata: i.Status.Metadata,
					Annotations: i.Status.Annotations, StartedAt: i.Status.StartedAt, FinishedAt: l.now.UnixNano()}
				list[n] = &Instance{Status: st, SandboxID: i.SandboxID}
			}
		}
	}
}

func (l *life) ops() []Op {
	out := make([]Op, 0, len(l.v.Ops))
	for op := range l.v.Ops {
		out = append(out, op)
	}
	slices.SortFunc(out, func(a, b Op) int {
		return slices.Compare([]string{string(a.Kind), a.Target}, []string{string(b.Kind), b.Target})
	})
	return out
}

func (l *life) runningIDs() []string {
	var out []string
	for _, list := range l.v.Instances {
		for _, i := range list {
			if i.Running() {
				out = append(out, i.ID())
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestAnyLifeEnds plays random lives: the invariants hold at every step, and a
// pod that is deleted is gone in the end.
func TestAnyLifeEnds(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		policy := rapid.SampledFrom([]string{"Always", "OnFailure", "Never"}).Draw(t, "policy")
		pod := testPod(rapid.SampledFrom([]string{"a", "a b", "i a", "p a b", "i p j a", "p q a"}).Draw(t, "containers"), "")
		pod.Spec.RestartPolicy = corev1.RestartPolicy(policy)
		l := &life{t: t, v: NewView(pod), now: epoch}
		l.v.FirstSeen = epoch
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			l.plan()
			l.happens()
			if s := Status(l.v, l.now); s.Phase == "" || len(s.ContainerStatuses) != len(pod.Spec.Containers) {
				t.Fatalf("status %+v", s)
			}
		}
		if l.v.Stop == nil {
			l.v.Stop = StopFor(pod, false, l.now)
		}
		for range 100 {
			if l.plan().Done {
				return
			}
			for _, op := range l.ops() {
				l.finish(op, true)
			}
			l.now = l.now.Add(time.Second)
		}
		t.Fatalf("a deleted pod is not gone: under way %v, running %v", l.ops(), l.runningIDs())
	})
}

// happens lets one thing happen.
func (l *life) happens() {
	if ops := l.ops(); len(ops) > 0 && rapid.IntRange(0, 3).Draw(l.t, "act") > 0 {
		l.finish(rapid.SampledFrom(ops).Draw(l.t, "op"), rapid.IntRange(0, 9).Draw(l.t, "luck") > 0)
		return
	}
	switch rapid.IntRange(0, 9).Draw(l.t, "what") {
	case 0, 1, 2:
		if ids := l.runningIDs(); len(ids) > 0 {
			l.end(rapid.SampledFrom(ids).Draw(l.t, "ends"), rapid.SampledFrom([]int32{0, 1}).Draw(l.t, "code"))
		}
	case 3:
		for _, id := range l.runningIDs() {
			l.end(id, 255)
		}
		for _, s := range l.v.readySandboxes() {
			l.finish(Op{Kind: StopSandbox, Target: s.Id}, true)
		}
	case 4:
		if l.v.Stop == nil {
			l.v.Stop = StopFor(l.v.Pod, rapid.Bool().Draw(l.t, "gone"), l.now)
		}
	default:
		l.now = l.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(l.t, "seconds")) * time.Second)
	}
}
