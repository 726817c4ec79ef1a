package realtest

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/eviction"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

// onSmallDisk has the machine keep everything on a disk of that size.
func onSmallDisk(size string) func(*machine) {
	return func(m *machine) {
		m.before = func(m *machine) {
			if err := unix.Mount("tmpfs", m.dir, "tmpfs", 0, "mode=0711,size="+size); err != nil {
				m.t.Fatalf("mount a small disk: %v", err)
			}
		}
		m.after = func(m *machine) {
			if err := unix.Unmount(m.dir, 0); err != nil {
				m.t.Errorf("unmount the small disk: %v", err)
			}
		}
	}
}

// pressed tells whether the node has the condition DiskPressure.
func (m *machine) pressed() bool {
	n, err := client.For[*corev1.Node](m.cluster.Admin).Get(m.t.Context(), "", "n1")
	if err != nil {
		return false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeDiskPressure {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// A pod that fills the node's disk to the last byte is evicted and told; the
// node is under pressure meanwhile, others go on, and new pods run again.
func TestFullDisk(t *testing.T) {
	m := newMachine(t, onSmallDisk("192m"))
	m.restart(func(s *nodeconfig.Settings) {
		var err error
		if s.Eviction.Thresholds, err = eviction.Parse(eviction.Texts{Hard: map[string]string{"nodefs.available": "32Mi"}}); err != nil {
			t.Fatal(err)
		}
		s.Eviction.Transition = time.Second
	})
	check := m.neighbour()
	m.create(pod("hog", "cat /dev/zero >/data/fill; echo full; exec sleep 1000", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	}))
	p := m.await("hog", "is evicted", func(p *corev1.Pod) bool { return p.Status.Reason == "Evicted" && p.Status.Phase == corev1.PodFailed })
	if !strings.Contains(p.Status.Message, "ephemeral-storage") {
		t.Errorf("the eviction says %q", p.Status.Message)
	}
	m.eventually("the eviction and its cause are told", func() bool {
		return m.hasEvent("Evicted") && m.hasEvent("NodeHasDiskPressure") && m.hasEvent("EvictionThresholdMet")
	})
	if v, ok := of(m.series("/metrics")["kubelet_evictions"], map[string]string{"eviction_signal": "nodefs.available"}); !ok || v != 1 {
		t.Errorf("evictions counted: %v, %v", v, ok)
	}
	m.eventually("the disk has room again", func() bool { return !m.pressed() })
	check()
	m.delete("hog")
}
