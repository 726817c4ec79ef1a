package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

// hung mounts a file system whose server never answers: whoever looks into
// it waits until release is called.
func hung(t *testing.T) (dir string, release func()) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "hung")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("a server of a file system: %v", err)
	}
	if err := unix.Mount("hung", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", server)); err != nil {
		t.Fatalf("mount it: %v", err)
	}
	// Its end answers everybody with an error.
	release = sync.OnceFunc(func() {
		if err := unix.Close(server); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		release()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, release
}

// A volume that hangs, as one of a file server that is gone does, holds up the
// pod that wants it and nobody else. The pod goes when it is let go.
func TestHungVolume(t *testing.T) {
	m := newMachine(t)
	m.restart(func(s *nodeconfig.Settings) { s.MountPatience = time.Second })
	check := m.neighbour()
	dir, release := hung(t)
	folder := corev1.HostPathDirectory
	m.create(pod("waits", "exec sleep 1000", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "gone", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir + "/data", Type: &folder}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "gone", MountPath: "/data"}}
	}))
	m.eventually("the volume is told to hang", func() bool { return m.hasEvent("FailedMount") })
	check()
	p, err := m.pods.Get(t.Context(), "default", "waits")
	if err != nil || p.Status.Phase != corev1.PodPending {
		t.Errorf("the pod: %+v, %v", p.Status, err)
	}
	release()
	m.delete("waits")
}
