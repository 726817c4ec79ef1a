package nodetest_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/client"
)

// resize asks for other resources of a pod.
func (w *world) resize(name string, change func(*corev1.ResourceRequirements)) {
	w.t.Helper()
	w.eventually("a resize of "+name, func() bool {
		p := w.get(name).DeepCopy()
		change(&p.Spec.Containers[0].Resources)
		_, err := w.pods.UpdateSubresource(w.t.Context(), p, "resize")
		if err != nil && !apierrors.IsConflict(err) {
			w.t.Fatal(err)
		}
		return err == nil
	})
}

func (w *world) resizeCPU(name, request string) {
	w.resize(name, func(r *corev1.ResourceRequirements) { r.Requests[corev1.ResourceCPU] = resource.MustParse(request) })
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) (reason string, found bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c.Reason, true
		}
	}
	return "", false
}

// awaitCPU waits until the pod's container runs with that request of CPU and
// its status says nothing of a resize.
func (w *world) awaitCPU(name, request string) *corev1.Pod {
	w.t.Helper()
	want := resource.MustParse(request)
	var p *corev1.Pod
	w.eventually(name+" has "+request, func() bool {
		p = w.get(name)
		if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].Resources == nil {
			return false
		}
		s := p.Status.ContainerStatuses[0]
		_, pending := condition(p, corev1.PodResizePending)
		_, busy := condition(p, corev1.PodResizeInProgress)
		return !pending && !busy && s.Resources.Requests.Cpu().Cmp(want) == 0 && s.AllocatedResources.Cpu().Cmp(want) == 0 && s.State.Running != nil
	})
	return p
}

func TestResizeInPlace(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a", cpu("10m")))
	before := w.awaitReady("a")
	w.resizeCPU("a", "20m")
	after := w.awaitCPU("a", "20m")
	if after.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID {
		t.Error("the container was restarted")
	}
	w.awaitEvent("ResizeStarted", "Pod resize started: ")
	w.awaitEvent("ResizeCompleted", "Pod resize completed: ")
}

func TestResizeThatDoesNotFit(t *testing.T) {
	w := newWorld(t)
	node, err := client.For[*corev1.Node](w.cluster.Admin).Get(t.Context(), "", "n1")
	if err != nil {
		t.Fatal(err)
	}
	rest := node.Status.Allocatable.Cpu().DeepCopy()
	rest.Sub(resource.MustParse("100m"))
	w.create(pod("big", cpu(rest.String())))
	w.create(pod("a", cpu("50m")))
	w.awaitReady("big")
	w.awaitReady("a")
	// What can never fit the API refuses already; podstate's test has it from there.
	w.resizeCPU("a", "200m")
	w.eventually("the resize is deferred", func() bool {
		reason, _ := condition(w.get("a"), corev1.PodResizePending)
		return reason == "Deferred"
	})
	if got := w.get("a").Status.ContainerStatuses[0].AllocatedResources.Cpu().String(); got != "50m" {
		t.Errorf("allocated %s meanwhile", got)
	}
	// An agent that starts again knows what was granted.
	w.stop()
	w.start()
	w.delete("big", nil)
	w.awaitGone("big")
	w.awaitCPU("a", "200m")
}

func TestResizeByRestart(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a", cpu("10m"), func(p *corev1.Pod) {
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
	}))
	w.awaitReady("a")
	w.resizeCPU("a", "20m")
	if got := w.awaitCPU("a", "20m").Status.ContainerStatuses[0].RestartCount; got != 1 {
		t.Errorf("%d restarts", got)
	}
}

// A limit of memory below what is in use would kill the container: it waits.
func TestMemoryIsNotTakenFromUse(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100Mi")}
	}))
	w.awaitReady("a")
	w.runtime.Use("app", 80<<20, 0)
	w.resize("a", func(r *corev1.ResourceRequirements) {
		r.Limits[corev1.ResourceMemory] = resource.MustParse("50Mi")
		r.Requests[corev1.ResourceMemory] = resource.MustParse("50Mi")
	})
	w.eventually("the resize is refused", func() bool {
		reason, _ := condition(w.get("a"), corev1.PodResizeInProgress)
		return reason == corev1.PodReasonError
	})
	for _, call := range w.runtime.Calls() {
		if strings.HasPrefix(call, "UpdateContainerResources") {
			t.Error("the limit was set")
		}
	}
	w.runtime.Use("app", 20<<20, 0)
	w.eventually("the resize is done", func() bool {
		s := w.get("a").Status.ContainerStatuses[0]
		return s.Resources.Limits.Memory().String() == "50Mi"
	})
}
