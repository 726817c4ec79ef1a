package nodetest_test

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// config makes a ConfigMap with one key, or changes it.
func (w *world) config(name, value string) {
	w.t.Helper()
	maps := client.For[*corev1.ConfigMap](w.cluster.Admin)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{"key": value}}
	if old, err := maps.Get(w.t.Context(), "default", name); err == nil {
		cm = old.DeepCopy()
		cm.Data["key"] = value
		if _, err := maps.Update(w.t.Context(), cm); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	if _, err := maps.Create(w.t.Context(), cm); err != nil {
		w.t.Fatal(err)
	}
}

func configVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
	}}
}

// volume is where a ConfigMap's volume of the pod lies.
func (w *world) volume(p *corev1.Pod, name string) string {
	return filepath.Join(w.dir, "root", "pods", string(p.UID), "volumes", "kubernetes.io~configmap", name)
}

func (w *world) awaitFile(path, want string) {
	w.t.Helper()
	w.eventually(path+" says "+want, func() bool {
		data, err := os.ReadFile(path)
		return err == nil && string(data) == want
	})
}

// A volume whose object is gone does not keep the others of a pod that runs
// from what is new.
func TestVolumesAreRefreshedBesideOneThatFails(t *testing.T) {
	w := newWorld(t)
	w.config("lost", "old")
	w.config("kept", "old")
	w.create(pod("a", func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{configVolume("lost"), configVolume("kept")} }))
	p := w.awaitReady("a")
	if err := client.For[*corev1.ConfigMap](w.cluster.Admin).Delete(t.Context(), "default", "lost", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitEvent("FailedMount", `MountVolume.SetUp failed for volume "lost" : configmap "lost" not found`)
	w.config("kept", "new")
	w.awaitFile(filepath.Join(w.volume(p, "kept"), "key"), "new")
}

// A volume that could not be brought up to date is tried again, though nothing
// of the pod changes any more.
func TestRefreshIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.config("c", "old")
	w.create(pod("a", func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{configVolume("c")} }))
	dir := w.volume(w.awaitReady("a"), "c")
	inTheWay := filepath.Join(dir, "..data_tmp")
	if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.config("c", "new")
	w.eventually("the volume is not brought up to date", func() bool { return w.hasEvent("FailedMount", "MountVolume.SetUp failed") })
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	w.awaitFile(filepath.Join(dir, "key"), "new")
}

// The volumes of a pod that has ended are not made anew when it changes.
func TestEndedPodLeavesNoVolumes(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}))
	p := w.awaitReady("a")
	dir := filepath.Join(w.dir, "root", "pods", string(p.UID))
	w.runtime.Exit("app", 0)
	w.eventually("the volumes are released", func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err) && w.get("a").Status.Phase == corev1.PodSucceeded
	})
	w.update("a", func(p *corev1.Pod) { p.Annotations = map[string]string{"seen": "yes"} })
	w.eventually("the agent knows of the change", func() bool {
		known, ok := w.node.Pods().Pod("default", "a")
		if ok {
			_, ok = w.node.Pods().Look(t.Context(), p.UID)
		}
		return ok && known.Annotations["seen"] == "yes"
	})
	w.delete("a", nil)
	w.awaitGone("a")
	w.eventually("the runtime has forgotten the pod", func() bool { return w.runtime.Sandboxes() == 0 })
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
