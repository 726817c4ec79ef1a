package nodetest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/client"
)

func TestPodLivesAndDies(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.create(pod("a"))
	p := w.awaitReady("a")
	t.Log("created to Ready", time.Since(began))
	if p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" || p.Status.HostIP != "127.0.0.1" {
		t.Errorf("status of a running pod: %+v", p.Status)
	}
	if p.Status.ObservedGeneration != p.Generation {
		t.Errorf("observed generation %d, generation %d", p.Status.ObservedGeneration, p.Generation)
	}
	w.eventually("the node has its lease", func() bool {
		lease, err := client.For[*coordinationv1.Lease](w.cluster.Admin).Get(t.Context(), corev1.NamespaceNodeLease, "n1")
		return err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == "n1"
	})
	if got := w.runtime.PodCIDR(); got == "" {
		t.Error("the runtime was told no pod range")
	}
	began = time.Now()
	w.delete("a", nil)
	w.awaitGone("a")
	t.Log("deleted to gone", time.Since(began))
	w.eventually("the sandbox is removed", func() bool { return w.runtime.Sandboxes() == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.stopped, []string{"a"}) {
		t.Errorf("BeforeStop was asked about %v", w.stopped)
	}
}

func TestInitAndSidecarOrder(t *testing.T) {
	w := newWorld(t)
	always := corev1.ContainerRestartPolicyAlways
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{
			{Name: "first", Image: "init:1"},
			{Name: "proxy", Image: "side:1", RestartPolicy: &always},
			{Name: "second", Image: "init:1"},
		}
	}))
	started := func(name string) bool { return slices.Contains(w.runtime.Calls(), "StartContainer "+name) }
	w.eventually("the first init container runs", func() bool { return started("first") })
	if p := w.get("a"); p.Status.Phase != corev1.PodPending && p.Status.Phase != "" {
		t.Errorf("phase %s while init containers run", p.Status.Phase)
	}
	w.runtime.Exit("first", 0)
	w.eventually("the second init container runs", func() bool { return started("second") })
	if !started("proxy") || started("app") {
		t.Errorf("order of starts: %v", w.runtime.Calls())
	}
	w.runtime.Exit("second", 0)
	p := w.awaitReady("a")
	if len(p.Status.InitContainerStatuses) != 3 || !p.Status.InitContainerStatuses[1].Ready {
		t.Errorf("init container statuses: %+v", p.Status.InitContainerStatuses)
	}
	w.delete("a", nil)
	w.awaitGone("a")
	var stops []string
	for _, c := range w.runtime.Calls() {
		if name, ok := strings.CutPrefix(c, "StopContainer "); ok {
			stops = append(stops, strings.Fields(name)[0])
		}
	}
	if !slices.Equal(stops, []string{"app", "proxy"}) {
		t.Errorf("containers were stopped in the order %v", stops)
	}
}

func TestRestartPolicies(t *testing.T) {
	cases := []struct {
		name   string
		policy corev1.RestartPolicy
		code   int32
		phase  corev1.PodPhase
		again  bool
	}{
		{"never-fails", corev1.RestartPolicyNever, 3, corev1.PodFailed, false},
		{"never-succeeds", corev1.RestartPolicyNever, 0, corev1.PodSucceeded, false},
		{"onfailure-succeeds", corev1.RestartPolicyOnFailure, 0, corev1.PodSucceeded, false},
		{"onfailure-fails", corev1.RestartPolicyOnFailure, 1, corev1.PodRunning, true},
		{"always-succeeds", corev1.RestartPolicyAlways, 0, corev1.PodRunning, true},
	}
	w := newWorld(t)
	for _, tc := range cases {
		w.create(pod(tc.name, func(p *corev1.Pod) {
			p.Spec.RestartPolicy, p.Spec.Containers[0].Name = tc.policy, tc.name
		}))
	}
	for _, tc := range cases {
		w.awaitReady(tc.name)
		w.runtime.Exit(tc.name, tc.code)
	}
	for _, tc := range cases {
		w.eventually(tc.name+" has its phase", func() bool {
			s := w.get(tc.name).Status
			if s.Phase != tc.phase || len(s.ContainerStatuses) != 1 {
				return false
			}
			c := s.ContainerStatuses[0]
			if tc.again {
				return c.RestartCount == 1 && c.State.Running != nil && c.LastTerminationState.Terminated != nil &&
					c.LastTerminationState.Terminated.ExitCode == tc.code
			}
			return c.RestartCount == 0 && c.State.Terminated != nil && c.State.Terminated.ExitCode == tc.code
		})
	}
}

func TestCrashLoop(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a"))
	w.awaitReady("a")
	w.runtime.Exit("app", 1)
	w.eventually("the first restart is at once", func() bool { return w.get("a").Status.ContainerStatuses[0].RestartCount == 1 })
	w.awaitReady("a")
	if w.hasEvent("BackOff", "") {
		t.Error("a restart at once was told as a back-off")
	}
	w.runtime.Exit("app", 1)
	w.eventually("the second restart waits", func() bool {
		s := w.get("a").Status.ContainerStatuses[0]
		return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff" &&
			strings.HasPrefix(s.State.Waiting.Message, "back-off 10s restarting failed container=app pod=a_default(") &&
			s.LastTerminationState.Terminated != nil
	})
	if phase := w.get("a").Status.Phase; phase != corev1.PodRunning {
		t.Errorf("phase %s", phase)
	}
	w.awaitEvent("BackOff", "Back-off restarting failed container app in pod a_default(")
}

// awaitEvent waits for an event of that reason whose message begins so.
func (w *world) awaitEvent(reason, prefix string) {
	w.t.Helper()
	w.eventually("event "+reason+" "+prefix, func() bool { return w.hasEvent(reason, prefix) })
}

func (w *world) hasEvent(reason, prefix string) bool {
	list, _, err := client.For[*corev1.Event](w.cluster.Admin).List(w.t.Context(), "default", metav1.ListOptions{})
	return err == nil && slices.ContainsFunc(list, func(e *corev1.Event) bool {
		return e.Reason == reason && strings.HasPrefix(e.Message, prefix)
	})
}

// A pod with claims for devices is not run without them.
func TestPodsWithoutTheirDevicesWait(t *testing.T) {
	w := newWorld(t)
	claim := "gpu"
	w.create(pod("user", func(p *corev1.Pod) {
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: claim, ResourceClaimName: &claim}}
	}))
	w.awaitEvent("FailedPrepareDynamicResources", "Failed to prepare dynamic resources: claim gpu: this node asks no drivers for devices")
	if s := w.get("user").Status; s.Phase != corev1.PodPending {
		t.Errorf("the pod is %s", s.Phase)
	}
}

func TestMissingConfigMapIsAwaited(t *testing.T) {
	w := newWorld(t)
	w.create(pod("volume", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}},
		}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/etc/settings"}}
	}))
	w.create(pod("env", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "settings"},
		}}}
	}))
	w.awaitEvent("FailedMount", `MountVolume.SetUp failed for volume "v" : configmap "settings" not found`)
	w.eventually("the container waits for its configuration", func() bool {
		s := w.get("env").Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CreateContainerConfigError" &&
			s[0].State.Waiting.Message == `configmap "settings" not found`
	})
	_, err := client.For[*corev1.ConfigMap](w.cluster.Admin).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "default"}, Data: map[string]string{"colour": "blue"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.awaitReady("volume")
	w.awaitReady("env")
}

func TestSandboxLoss(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a"))
	first := w.awaitReady("a")
	w.runtime.KillSandboxes()
	w.eventually("the pod runs in a new sandbox", func() bool {
		p := w.get("a")
		return isReady(p) && p.Status.ContainerStatuses[0].RestartCount == 1 && p.Status.PodIP != first.Status.PodIP
	})
	if n := w.runtime.Containers(runtimeapi.ContainerState_CONTAINER_RUNNING); n != 1 {
		t.Errorf("%d containers run", n)
	}
}

func TestRejectedPod(t *testing.T) {
	w := newWorld(t)
	w.create(pod("big", cpu("10000")))
	w.eventually("the pod is rejected", func() bool {
		s := w.get("big").Status
		return s.Phase == corev1.PodFailed && s.Reason == "OutOfcpu" &&
			strings.HasPrefix(s.Message, "Pod was rejected: Node didn't have enough resource: cpu, requested: 10000000, used: 0, capacity: ")
	})
	if n := w.runtime.Sandboxes(); n != 0 {
		t.Errorf("%d sandboxes for a rejected pod", n)
	}
	w.delete("big", nil)
	w.awaitGone("big")
}

func TestGraceIsCut(t *testing.T) {
	w := newWorld(t)
	w.runtime.Stubborn("app")
	long := int64(600)
	w.create(pod("a", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &long }))
	w.awaitReady("a")
	w.delete("a", nil)
	w.eventually("the container is told to stop", func() bool { return slices.Contains(w.runtime.Calls(), "StopContainer app grace=600") })
	one := int64(1)
	w.delete("a", &one)
	w.awaitGone("a")
}

// A hook that its pod does not wait for any more keeps nothing of the node.
func TestAHookDoesNotOutliveItsPod(t *testing.T) {
	w := newWorld(t)
	n, err := client.For[*corev1.Node](w.cluster.Admin).Get(t.Context(), "", "n1")
	if err != nil {
		t.Fatal(err)
	}
	whole := cpu(n.Status.Allocatable.Cpu().String())
	long := int64(6000)
	w.create(pod("a", whole, func(p *corev1.Pod) {
		p.Spec.TerminationGracePeriodSeconds = &long
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: long}}}
	}))
	w.awaitReady("a")
	w.delete("a", nil)
	w.awaitEvent("Killing", "Stopping container app")
	none := int64(0)
	w.delete("a", &none)
	w.awaitGone("a")
	tries, next := 0, w.create(pod("b", whole))
	w.eventually("the node has room again", func() bool {
		p := w.get(next.Name)
		if p.Status.Phase == corev1.PodFailed { // the agent may still be about to forget the first one
			tries++
			next = w.create(pod(fmt.Sprint("b", tries), whole))
		}
		return isReady(p)
	})
}

func TestStopFailureIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a"))
	w.awaitReady("a")
	w.runtime.Fail("StopContainer", errors.New("busy"))
	w.runtime.Fail("StopPodSandbox", errors.New("busy"))
	w.delete("a", nil)
	w.awaitGone("a")
	w.eventually("nothing is left", func() bool { return w.runtime.Sandboxes() == 0 })
}
