package nodetest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/client"
)

func TestAgentRestartAdopts(t *testing.T) {
	w := newWorld(t)
	w.create(pod("stays"))
	w.create(pod("goes"))
	before := w.awaitReady("stays")
	w.awaitReady("goes")
	w.stop()
	if n := w.runtime.Containers(runtimeapi.ContainerState_CONTAINER_RUNNING); n != 2 {
		t.Fatalf("%d containers run without their agent", n)
	}
	now := int64(0)
	w.delete("goes", &now)
	w.create(pod("new"))
	left := filepath.Join(w.dir, "root", "pods", "0-0-0", "volumes")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.awaitReady("new")
	w.eventually("the pod that is gone was ended", func() bool {
		return w.runtime.Containers(runtimeapi.ContainerState_CONTAINER_RUNNING) == 2 && w.runtime.Sandboxes() == 2
	})
	w.eventually("left-over volumes are removed", func() bool {
		_, err := os.Stat(left)
		return errors.Is(err, os.ErrNotExist)
	})
	after := w.get("stays")
	if !isReady(after) || after.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID {
		t.Errorf("the adopted pod changed: %+v", after.Status)
	}
	for _, c := range after.Status.Conditions {
		for _, b := range before.Status.Conditions {
			if b.Type == c.Type && !b.LastTransitionTime.Equal(&c.LastTransitionTime) {
				t.Errorf("condition %s changed over the restart", c.Type)
			}
		}
	}
}

// The sandbox is what an agent that was killed finds of a pod that is gone:
// nothing else of the pod may outlive it.
func TestLogsGoBeforeTheSandbox(t *testing.T) {
	w := newWorld(t)
	made := w.create(pod("a"))
	w.awaitReady("a")
	logs := filepath.Join(w.dir, "logs", "default_a_"+string(made.UID))
	if _, err := os.Stat(logs); err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	w.delete("a", &now)
	w.eventually("the sandbox is gone", func() bool { return w.runtime.Sandboxes() == 0 })
	if _, err := os.Stat(logs); !errors.Is(err, os.ErrNotExist) || w.runtime.RemovedWithLogs() > 0 {
		t.Errorf("the logs outlived the sandbox: %v, %d times", err, w.runtime.RemovedWithLogs())
	}
}

func TestRuntimeRestart(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a"))
	w.awaitReady("a")
	w.runtime.Stop()
	w.runtime.Exit("app", 7) // nobody is told of it
	if err := os.Remove(filepath.Join(w.dir, "cri.sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := w.runtime.Serve(filepath.Join(w.dir, "cri.sock")); err != nil {
		t.Fatal(err)
	}
	w.eventually("the missed end is found", func() bool {
		s := w.get("a").Status.ContainerStatuses[0]
		return s.RestartCount == 1 && s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.ExitCode == 7
	})
}

func TestImagePull(t *testing.T) {
	w := newWorld(t)
	refused := status.Error(codes.NotFound, "manifest unknown: no such tag")
	w.runtime.Fail("PullImage", slices.Repeat([]error{refused}, 100)...)
	w.create(pod("absent", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "registry.example/none:1" }))
	w.eventually("the registry's words are shown", func() bool {
		s := w.get("absent").Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "ErrImagePull" &&
			s[0].State.Waiting.Message == "manifest unknown: no such tag"
	})
	w.awaitEvent("Failed", `Failed to pull image "registry.example/none:1": manifest unknown: no such tag`)
	w.eventually("the next pull is put off", func() bool {
		s := w.get("absent").Status.ContainerStatuses[0].State.Waiting
		return s != nil && s.Reason == "ImagePullBackOff" &&
			s.Message == `Back-off pulling image "registry.example/none:1": ErrImagePull: manifest unknown: no such tag`
	})
	w.create(pod("never", func(p *corev1.Pod) {
		p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = "other:1", corev1.PullNever
	}))
	w.awaitEvent("ErrImageNeverPull", `Container image "other:1" is not present with pull policy of Never`)
}

func TestPullAlwaysWithoutRegistry(t *testing.T) {
	w := newWorld(t)
	w.runtime.Fail("PullImage", status.Error(codes.Unavailable, "connection refused"))
	w.create(pod("a", func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways }))
	w.awaitReady("a")
	w.awaitEvent("Pulled", `No registry answers for image "app:1" (connection refused); using the copy already present`)
}

func TestPullSecret(t *testing.T) {
	w := newWorld(t)
	_, err := client.For[*corev1.Secret](w.cluster.Admin).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "registry", Namespace: "default"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"registry.example":{"username":"skipper","password":"s"}}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.Containers[0].Image = "registry.example/private:1"
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	}))
	w.awaitReady("a")
	if !slices.Contains(w.runtime.Calls(), "PullImage registry.example/private:1 skipper") {
		t.Errorf("the credentials were not used: %v", w.runtime.Calls())
	}
}

func TestVolumesFollowTheirObjects(t *testing.T) {
	w := newWorld(t)
	maps := client.For[*corev1.ConfigMap](w.cluster.Admin)
	made, err := maps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "default"}, Data: map[string]string{"colour": "blue", "size": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.create(pod("a", func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "one"}
		p.Spec.Volumes = []corev1.Volume{
			{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}},
			{Name: "d", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
			}}}},
		}
	}))
	p := w.awaitReady("a")
	root := filepath.Join(w.dir, "root")
	colour := filepath.Join(root, "pods", string(p.UID), "volumes", "kubernetes.io~configmap", "v", "colour")
	labels := filepath.Join(root, "memory", string(p.UID), "d", "labels")
	shows := func(path, want string) func() bool {
		return func() bool {
			data, err := os.ReadFile(path)
			return err == nil && string(data) == want
		}
	}
	w.eventually("the file is there", shows(colour, "blue"))
	w.eventually("the labels are there", shows(labels, `app="one"`))
	changed := made.DeepCopy()
	changed.Data = map[string]string{"colour": "red"}
	if _, err := maps.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	w.eventually("the file has changed", shows(colour, "red"))
	w.eventually("a key that is gone has no file", func() bool { // the link goes after the data
		_, err := os.Lstat(filepath.Join(filepath.Dir(colour), "size"))
		return errors.Is(err, os.ErrNotExist)
	})
	patch := `{"metadata":{"labels":{"app":"two"}}}`
	if _, err := w.pods.Patch(t.Context(), "default", "a", "application/merge-patch+json", []byte(patch)); err != nil {
		t.Fatal(err)
	}
	w.eventually("the labels have changed", shows(labels, `app="two"`))
}

func TestLivenessFailureRestarts(t *testing.T) {
	w := newWorld(t)
	no := errors.New("exit 1")
	w.runtime.Fail("ExecSync", no)
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.Containers[0].LivenessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"check"}}},
			PeriodSeconds: 1, FailureThreshold: 1, TimeoutSeconds: 60, SuccessThreshold: 1,
		}
	}))
	w.awaitEvent("Unhealthy", "Liveness probe failed: no")
	w.awaitEvent("Killing", "Container app failed liveness probe, will be restarted")
	w.eventually("the container was restarted", func() bool {
		s := w.get("a").Status.ContainerStatuses
		return len(s) == 1 && s[0].RestartCount == 1 && s[0].State.Running != nil
	})
}

func TestReadinessGatesThePod(t *testing.T) {
	w := newWorld(t)
	w.runtime.Fail("ExecSync", slices.Repeat([]error{errors.New("exit 1")}, 1000)...)
	w.create(pod("a", func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"check"}}},
			PeriodSeconds: 1, FailureThreshold: 3, TimeoutSeconds: 60, SuccessThreshold: 1,
		}
	}))
	w.eventually("the pod runs and is not ready", func() bool {
		s := w.get("a").Status
		return s.Phase == corev1.PodRunning && !isReady(&corev1.Pod{Status: s}) && slices.ContainsFunc(s.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Reason == "ContainersNotReady" && c.Message == "containers with unready status: [app]"
		})
	})
	w.runtime.Mend("ExecSync")
	w.awaitReady("a")
}

func TestManyPods(t *testing.T) {
	w := newWorld(t)
	const n = 30
	for i := range n {
		w.create(pod(fmt.Sprintf("p%d", i)))
	}
	for i := range n {
		w.awaitReady(fmt.Sprintf("p%d", i))
	}
	for i := range n {
		w.delete(fmt.Sprintf("p%d", i), nil)
	}
	for i := range n {
		w.awaitGone(fmt.Sprintf("p%d", i))
	}
	w.eventually("nothing is left", func() bool { return w.runtime.Sandboxes() == 0 })
}
