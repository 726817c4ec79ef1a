package nodetest_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/node/static"
)

// manifest writes a static pod's manifest as careful writers do.
func (w *world) manifest(name, image string) {
	w.t.Helper()
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {terminationGracePeriodSeconds: 5, containers: [{name: app, image: \"" + image + "\"}]}\n"
	path := filepath.Join(w.dir, "manifests", name+".yaml")
	if err := os.WriteFile(filepath.Join(w.dir, "new"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(w.dir, "new"), path); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) running() int {
	return w.runtime.Containers(runtimeapi.ContainerState_CONTAINER_RUNNING)
}

// A pod of the API that has the name of a static pod is left alone; the mirror
// is made when it has gone.
func TestStaticPodOfATakenName(t *testing.T) {
	w := newWorld(t)
	theirs := w.create(pod("web-n1"))
	w.awaitReady("web-n1")
	var made, deleted atomic.Int32
	count := answer(func(req *request.Request, ask func() (runtime.Object, error)) (runtime.Object, error) {
		switch {
		case req.Kind.Resource == "pods" && req.Verb == request.Create && req.Subresource == "":
			made.Add(1)
		case req.Kind.Resource == "pods" && req.Verb == request.Delete:
			deleted.Add(1)
		}
		return ask()
	})
	w.answer.Store(&count)
	w.manifest("web", "app:1")
	w.eventually("a mirror is tried twice", func() bool { return made.Load() >= 2 })
	if p := w.get("web-n1"); deleted.Load() > 0 || p.UID != theirs.UID || p.DeletionTimestamp != nil {
		t.Fatalf("%d deletions; the pod is %s, was %s", deleted.Load(), p.UID, theirs.UID)
	}
	w.delete("web-n1", nil)
	w.eventually("the mirror is made", func() bool {
		p, err := w.pods.Get(t.Context(), "default", "web-n1")
		return err == nil && static.IsMirror(p)
	})
}

func TestStaticPod(t *testing.T) {
	w := newWorld(t)
	w.manifest("web", "app:1")
	w.eventually("the mirror is made", func() bool { _, err := w.pods.Get(t.Context(), "default", "web-n1"); return err == nil })
	first := w.awaitReady("web-n1")
	if first.Annotations[static.AnnotationMirror] == "" || first.Annotations[static.AnnotationSource] != "file" {
		t.Errorf("annotations %v", first.Annotations)
	}
	if string(first.UID) == first.Annotations[static.AnnotationHash] {
		t.Error("the mirror has the static pod's uid")
	}
	container := first.Status.ContainerStatuses[0].ContainerID

	// Who deletes the mirror gets another, and the pod runs on.
	w.delete("web-n1", nil)
	var second *corev1.Pod
	w.eventually("the mirror is made again", func() bool {
		p, err := w.pods.Get(t.Context(), "default", "web-n1")
		second = p
		return err == nil && p.UID != first.UID && isReady(p)
	})
	if got := second.Status.ContainerStatuses[0].ContainerID; got != container || w.running() != 1 {
		t.Errorf("the container is %s, was %s; %d run", got, container, w.running())
	}

	// An agent that starts again adopts what runs.
	w.stop()
	w.start()
	w.manifest("other", "app:1")
	w.eventually("the other is made", func() bool { _, err := w.pods.Get(t.Context(), "default", "other-n1"); return err == nil })
	w.awaitReady("other-n1")
	if got := w.awaitReady("web-n1").Status.ContainerStatuses[0].ContainerID; got != container {
		t.Errorf("after a restart the container is %s, was %s", got, container)
	}

	// A changed manifest is another pod; it starts when the old one has ended.
	w.runtime.AddImage("app:2")
	w.manifest("web", "app:2")
	w.eventually("the changed pod runs", func() bool {
		p, err := w.pods.Get(t.Context(), "default", "web-n1")
		return err == nil && p.UID != second.UID && isReady(p) && p.Spec.Containers[0].Image == "app:2"
	})
	if w.running() != 2 {
		t.Errorf("%d containers run, want those of two pods", w.running())
	}
	if err := os.Remove(filepath.Join(w.dir, "manifests", "web.yaml")); err != nil {
		t.Fatal(err)
	}
	w.awaitGone("web-n1")
	w.eventually("the pod of the manifest that is gone has ended", func() bool { return w.running() == 1 && w.runtime.Sandboxes() == 1 })
}

// A mirror that no manifest of the node stands behind is removed.
func TestOrphanMirror(t *testing.T) {
	w := newWorld(t)
	w.create(pod("left-n1", func(p *corev1.Pod) {
		p.Annotations = map[string]string{static.AnnotationMirror: "x"}
	}))
	w.awaitGone("left-n1")
	if w.running() != 0 {
		t.Error("the mirror was run")
	}
}
