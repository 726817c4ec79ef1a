package nodetest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/client"
)

// Whoever changes the image of a running container sees a pod that is ready
// all the time and has counted one restart.
func TestImageChangeKeepsReady(t *testing.T) {
	w := newWorld(t)
	w.runtime.AddImage("app:2")
	w.create(pod("a"))
	w.awaitReady("a")
	seen := w.follow()
	began := time.Now()
	w.update("a", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "app:2" })
	w.eventually("the container runs the new image", func() bool {
		s := w.get("a").Status.ContainerStatuses[0]
		return s.RestartCount == 1 && s.Image == "app:2" && s.State.Running != nil && s.Ready
	})
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Logf("the replacement took %s: longer than the status waits for it", took)
		return
	}
	for _, p := range seen() {
		if !isReady(p) {
			t.Errorf("at %s the pod was not ready: %+v", p.ResourceVersion, p.Status.ContainerStatuses)
		}
	}
}

// An image that was being pulled when the container got another is not what
// the container runs.
func TestImageChangeWhilePulling(t *testing.T) {
	w := newWorld(t)
	w.runtime.AddImage("app:2")
	waiting, release := w.runtime.Hold("PullImage")
	w.create(pod("a", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "slow:1" }))
	w.eventually("the first image is being pulled", func() bool { return waiting() > 0 })
	w.update("a", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "app:2" })
	seen := w.follow()
	w.eventually("the agent knows of the new image", func() bool {
		p := w.get("a")
		return p.Status.ObservedGeneration == p.Generation
	})
	release()
	w.awaitReady("a")
	for _, p := range seen() {
		for _, s := range p.Status.ContainerStatuses {
			if s.ImageID != "" && s.ImageID != "sha256:app:2" {
				t.Fatalf("the container runs %s", s.ImageID)
			}
		}
	}
}

// update changes a pod, again when somebody else was faster.
func (w *world) update(name string, change func(*corev1.Pod)) {
	w.t.Helper()
	w.eventually("an update of "+name, func() bool {
		p := w.get(name).DeepCopy()
		change(p)
		_, err := w.pods.Update(w.t.Context(), p)
		if err != nil && !apierrors.IsConflict(err) {
			w.t.Fatal(err)
		}
		return err == nil
	})
}

// follow collects every state of pods that the API tells from now on.
func (w *world) follow() func() []*corev1.Pod {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	informers := client.NewInformers(w.cluster.Admin, nil)
	pods := client.InformerFor[*corev1.Pod](informers)
	var mu sync.Mutex
	var seen []*corev1.Pod
	pods.OnChange(func(_, p *corev1.Pod) {
		mu.Lock()
		defer mu.Unlock()
		if p != nil {
			seen = append(seen, p)
		}
	})
	informers.Start(ctx)
	w.t.Cleanup(func() {
		cancel()
		informers.Wait()
	})
	if err := pods.WaitSynced(ctx); err != nil {
		w.t.Fatal(err)
	}
	return func() []*corev1.Pod {
		mu.Lock()
		defer mu.Unlock()
		return append([]*corev1.Pod(nil), seen...)
	}
}
