package nodetest_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// withFiles mounts an image at /files of the pod's container.
func withFiles(image string, policy corev1.PullPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		source := corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image, PullPolicy: policy}}
		p.Spec.Volumes = []corev1.Volume{{Name: "files", VolumeSource: source}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "files", MountPath: "/files", SubPath: "data"}}
	}
}

// An image that is mounted is pulled as the volume's policy says (KEP-4639).
func TestImageVolumes(t *testing.T) {
	w := newWorld(t)
	pulls := func(image string) (n int) {
		for _, call := range w.runtime.Calls() {
			if call == "PullImage "+image+" " {
				n++
			}
		}
		return n
	}
	w.create(pod("present", withFiles("side:1", corev1.PullIfNotPresent)))
	w.awaitReady("present")
	if n := pulls("side:1"); n != 0 {
		t.Errorf("an image that is present was pulled %d times", n)
	}
	w.create(pod("always", withFiles("side:1", corev1.PullAlways)))
	w.awaitReady("always")
	if n := pulls("side:1"); n != 1 {
		t.Errorf("an image with pull policy Always was pulled %d times", n)
	}
	w.create(pod("absent", withFiles("far:1", corev1.PullIfNotPresent)))
	w.awaitReady("absent")
	var shown []string
	for _, m := range w.runtime.Mounts("app") {
		if m.ContainerPath == "/files" && m.Readonly && m.ImageSubPath == "data" && m.HostPath == "" {
			shown = append(shown, m.GetImage().GetImage())
		}
	}
	if slices.Sort(shown); !slices.Equal(shown, []string{"far:1", "side:1", "side:1"}) {
		t.Errorf("the containers got the images %v", shown)
	}
}

// A volume's image that cannot be pulled has its containers wait as for their
// own.
func TestImageVolumesThatAreNotThere(t *testing.T) {
	w := newWorld(t)
	w.runtime.Fail("PullImage", slices.Repeat([]error{status.Error(codes.NotFound, "manifest unknown")}, 100)...)
	w.create(pod("a", withFiles("none:1", corev1.PullAlways)))
	waits := func(reason, message string) func() bool {
		return func() bool {
			s := w.get("a").Status.ContainerStatuses
			return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == reason && s[0].State.Waiting.Message == message
		}
	}
	w.eventually("the registry's words are shown", waits("ErrImagePull", "manifest unknown"))
	w.eventually("the next pull is put off", waits("ImagePullBackOff", `Back-off pulling image "none:1": ErrImagePull: manifest unknown`))
	w.awaitEvent("Failed", "Error: ImagePullBackOff")
}
