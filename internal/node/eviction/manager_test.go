package eviction

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/nodetest"
)

// node is a Manager's host that writes down what it is asked for.
type testNode struct {
	pods      []*corev1.Pod
	dir       string
	evicted   map[string]string // message by pod
	grace     time.Duration
	events    []string
	reclaimed int
	changed   int
	signals   []string
}

func newTestNode(t *testing.T, c Config, pods ...*corev1.Pod) (*testNode, *Manager) {
	t.Helper()
	n := &testNode{pods: pods, dir: t.TempDir(), evicted: map[string]string{}}
	runtime := nodetest.NewRuntime()
	socket := filepath.Join(n.dir, "cri.sock")
	if err := runtime.Serve(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runtime.Stop)
	connection, err := cri.Dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return n, New(Host{
		Config: c, Runtime: connection, Root: n.dir, LogRoot: filepath.Join(n.dir, "logs"), Logger: slog.New(slog.DiscardHandler),
		EmptyDir: func(uid types.UID, volume string) string { return filepath.Join(n.dir, string(uid), volume) },
		Pods:     func() []*corev1.Pod { return n.pods }, Evict: n.evict, Evicted: func(signal string, _ time.Duration) { n.signals = append(n.signals, signal) }, Changed: func() { n.changed++ },
		Reclaim: func(context.Context) error { n.reclaimed++; return nil },
		Event:   func(_, reason, message string) { n.events = append(n.events, reason+": "+message) },
	})
}

func (n *testNode) evict(uid types.UID, message string, grace time.Duration) <-chan struct{} {
	for i, pod := range n.pods {
		if pod.UID == uid {
			n.evicted[pod.Name], n.grace = message, grace
			n.pods = append(n.pods[:i:i], n.pods[i+1:]...)
			break
		}
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

func named(name string, prio int32) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.UID, pod.Spec.Priority = name, "ns", types.UID(name), &prio
	pod.Spec.Containers = []corev1.Container{{Name: "app"}}
	return pod
}

// A node that is always short evicts its pods one by one, the least important
// first, and never a critical one.
func TestManagerEvictsOneByOne(t *testing.T) {
	always := Config{Thresholds: []Threshold{{Signal: MemoryAvailable, Value: Value{Share: 1}}}}
	n, m := newTestNode(t, always, named("vip", 5), named("low", 1), named("system", criticalPriority))
	if !m.Has(corev1.NodeMemoryPressure) {
		t.Error("the condition is not known from the start")
	}
	for _, want := range []string{"low", "vip"} {
		if m.round(t.Context(), time.Now()) != 0 {
			t.Error("after an eviction the manager waits")
		}
		if n.evicted[want] == "" || n.grace != hardGrace {
			t.Fatalf("evicted %v within %s, want %s", n.evicted, n.grace, want)
		}
	}
	if m.round(t.Context(), time.Now()) != roundEvery || len(n.evicted) != 2 {
		t.Errorf("evicted %v", n.evicted)
	}
	if diff := cmp.Diff([]string{"memory.available", "memory.available"}, n.signals); diff != "" {
		t.Errorf("signals of the evictions: %s", diff)
	}
	if diff := cmp.Diff("EvictionThresholdMet: Attempting to reclaim memory", n.events[0]); diff != "" || n.reclaimed != 0 {
		t.Error(diff, n.reclaimed)
	}
}

func TestSoftThresholdGivesGrace(t *testing.T) {
	soft := Config{MaxPodGrace: 60 * time.Second, Thresholds: []Threshold{{Signal: NodeFsAvailable, Value: Value{Share: 1}, Grace: time.Minute}}}
	pod := named("a", 0)
	grace := int64(20)
	pod.Spec.TerminationGracePeriodSeconds = &grace
	n, m := newTestNode(t, soft, pod)
	now := time.Now()
	m.round(t.Context(), now)
	if len(n.evicted) != 0 || !m.Has(corev1.NodeDiskPressure) {
		t.Errorf("evicted %v before the grace period", n.evicted)
	}
	m.round(t.Context(), now.Add(2*time.Minute))
	if n.evicted["a"] == "" || n.grace != 20*time.Second || n.reclaimed == 0 {
		t.Errorf("evicted %v with %s, reclaimed %d times", n.evicted, n.grace, n.reclaimed)
	}
}

func TestLimitsOfVolumes(t *testing.T) {
	size := resource.MustParse("1Mi")
	pod := named("a", 0)
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}}
	n, m := newTestNode(t, Config{}, pod)
	dir := filepath.Join(n.dir, "a", "v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m.round(t.Context(), now)
	if len(n.evicted) != 0 {
		t.Fatalf("evicted %v", n.evicted)
	}
	// A file with holes takes only what was written.
	if err := os.WriteFile(filepath.Join(dir, "holes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "holes"), 1<<30); err != nil {
		t.Fatal(err)
	}
	m.round(t.Context(), now.Add(time.Hour))
	if len(n.evicted) != 0 {
		t.Fatalf("evicted %v for a file with holes", n.evicted)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "data"), filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	m.round(t.Context(), now.Add(2*time.Hour))
	if diff := cmp.Diff(map[string]string{"a": `Usage of EmptyDir volume "v" exceeds the limit "1Mi". `}, n.evicted); diff != "" {
		t.Error(diff)
	}
}

func TestObserveThisMachine(t *testing.T) {
	got := Observe(Disks{Node: t.TempDir(), Images: t.TempDir()})
	for _, s := range []Signal{MemoryAvailable, NodeFsAvailable, ImageFsAvailable, PIDAvailable} {
		if r := got[s]; r.Capacity <= 0 || r.Available > r.Capacity {
			t.Errorf("%s: %+v", s, r)
		}
	}
}
