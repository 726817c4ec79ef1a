package realtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

// restart starts the agent again with other settings.
func (m *machine) restart(change func(*nodeconfig.Settings)) {
	m.t.Helper()
	m.stop()
	m.kubelet = settings()
	change(m.kubelet)
	m.startAgent()
}

func (m *machine) hasEvent(reason string) bool {
	m.t.Helper()
	list, _, err := client.For[*corev1.Event](m.cluster.Admin).List(m.t.Context(), "default", metav1.ListOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range list {
		if e.Reason == reason {
			return true
		}
	}
	return false
}

// neighbour is a pod that has to go on whatever another one does.
func (m *machine) neighbour() (check func()) {
	m.t.Helper()
	m.create(pod("neighbour", "exec sleep 1000"))
	before := m.await("neighbour", "is ready", ready)
	return func() {
		m.t.Helper()
		after := m.await("neighbour", "is ready", ready)
		if after.Status.ContainerStatuses[0].RestartCount != 0 || after.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID {
			m.t.Errorf("the neighbour was restarted: %+v", after.Status.ContainerStatuses)
		}
		m.create(pod("next", "exec sleep 1000"))
		m.await("next", "is ready", ready)
	}
}

// A pod that makes processes without end fails alone, and is told.
func TestForkBomb(t *testing.T) {
	m := newMachine(t)
	m.restart(func(s *nodeconfig.Settings) { s.PodPIDs, s.Logs.Every = 32, 200*time.Millisecond })
	check := m.neighbour()
	m.create(pod("bomb", "(while :; do sleep 1000 & done) & exec sleep 1000"))
	m.eventually("the limit is told", func() bool { return m.hasEvent("PIDLimitReached") })
	check()
	m.delete("bomb")
}

// A pod that writes logs without end has no more of them than its share.
func TestLogFlood(t *testing.T) {
	m := newMachine(t)
	m.restart(func(s *nodeconfig.Settings) {
		s.Logs.MaxSize, s.Logs.MaxFiles, s.Logs.Every = 64<<10, 3, 100*time.Millisecond
	})
	check := m.neighbour()
	m.create(pod("flood", `i=0; while :; do echo "line $i of a flood that does not end"; i=$((i+1)); [ $((i % 1000)) = 0 ] && sleep 0.1; done`))
	p := m.await("flood", "is ready", ready)
	dir := filepath.Join(m.path("logs"), p.Namespace+"_"+p.Name+"_"+string(p.UID), "app")
	m.eventually("the log has as many files as it may, and the first lines are gone", func() bool {
		files := m.logFiles(dir)
		return len(files) == 3 && !strings.Contains(strings.Join(files, ""), " line 0 of")
	})
	check()
	m.eventually("the log still has no more files than it may", func() bool { return len(m.logFiles(dir)) <= 3 })
	m.delete("flood")
}

// logFiles are the texts of a container's log files.
func (m *machine) logFiles(dir string) []string {
	m.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	var texts []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away since
		}
		if err != nil {
			m.t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	return texts
}

// A pod whose cgroup somebody takes away underneath still ends, and others go on.
func TestCgroupRemoved(t *testing.T) {
	m := newMachine(t)
	check := m.neighbour()
	m.create(pod("a", "exec sleep 1000"))
	p := m.await("a", "is ready", ready)
	removed := 0
	for _, controller := range []string{"cpu", "memory", "pids"} {
		removed += empty(t, filepath.Join("/sys/fs/cgroup", controller), m.cgroup, string(p.UID))
	}
	removed += empty(t, "/sys/fs/cgroup/unified", m.cgroup, string(p.UID)) + empty(t, "/sys/fs/cgroup", m.cgroup, string(p.UID))
	if removed == 0 {
		t.Fatal("the pod has no cgroup that could be removed")
	}
	check()
	m.delete("a")
}

// empty moves a pod's processes out of its groups of one hierarchy, and
// removes these; it counts them.
func empty(t *testing.T, hierarchy, root, uid string) (removed int) {
	t.Helper()
	pods, err := filepath.Glob(filepath.Join(hierarchy, root, "kubepods", "*", "pod"+uid))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range pods {
		children, err := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, procs := range append(children, filepath.Join(dir, "cgroup.procs")) {
			data, err := os.ReadFile(procs)
			if err != nil {
				t.Fatal(err)
			}
			for pid := range strings.FieldsSeq(string(data)) {
				if err := os.WriteFile(filepath.Join(hierarchy, "cgroup.procs"), []byte(pid), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Dir(procs)); err != nil {
				t.Fatal(err)
			}
			removed++
		}
	}
	return removed
}
