package realtest

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Root of a pod with users of its own is root of its files, and nobody on the node.
func TestPodWithItsOwnUsers(t *testing.T) {
	m := newMachine(t)
	own := false
	m.create(pod("a", `set -e
echo map $(cat /proc/self/uid_map)
echo x >/scratch/made && echo scratch $(stat -c %u:%g /scratch/made)
echo x >/made && echo root $(stat -c %u /made /etc/hosts /etc/hostname)
echo bye >/dev/termination-log`, func(p *corev1.Pod) {
		p.Spec.HostUsers = &own
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}}
	}))
	p := m.await("a", "has ended", ended)
	log := m.log(p)
	for _, want := range []string{"map 0 65536 65536", "scratch 0:0", "root 0 0 0"} {
		if !strings.Contains(log, want+"\n") {
			t.Errorf("the pod does not see %q:\n%s", want, log)
		}
	}
	if s := p.Status.ContainerStatuses[0].State.Terminated; s == nil || s.ExitCode != 0 || s.Message != "bye\n" {
		t.Errorf("ended as %+v", s)
	}
	m.delete("a")
}
