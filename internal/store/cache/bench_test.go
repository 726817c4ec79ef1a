package cache

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// realPod has what a pod of a Deployment has once it runs.
func realPod(i int) *corev1.Pod {
	name := fmt.Sprintf("web-5d4f8c7b9-%05d", i)
	p := pod("default", name, fmt.Sprintf("node-%d", i%100))
	p.UID = types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
	p.Labels = map[string]string{"app": "web", "pod-template-hash": "5d4f8c7b9"}
	yes := true
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d4f8c7b9", UID: "11111111-0000-4000-8000-000000000000", Controller: &yes, BlockOwnerDeletion: &yes}}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(strings.Repeat(`{"f:metadata":{"f:labels":{}}}`, 30))}}}
	p.Spec.Containers = []corev1.Container{{
		Name: "web", Image: "registry.example/web:1.2.3",
		Resources:    corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}},
		VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}},
	}}
	p.Spec.ServiceAccountName = "default"
	p.Status.Phase = corev1.PodRunning
	p.Status.PodIP = "10.244.1.2"
	for _, c := range []corev1.PodConditionType{"Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: "True", LastTransitionTime: metav1.Unix(1, 0)})
	}
	return p
}

func fillPods(b *testing.B, f *fixture, n int) {
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				if _, err := f.pods().Create(context.Background(), realPod(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory is heap per object as loaded from disk, which has no share
// of Pebble's memory: a ConfigMap of 1 KiB, and a running pod.
func BenchmarkMemory(b *testing.B) {
	const n = 10_000
	for name, create := range map[string]func(f *fixture, i int) (*Item, error){
		"configmap=1KiB": func(f *fixture, i int) (*Item, error) {
			return f.configMaps().Create(f.Context(), configMap("default", fmt.Sprintf("c%05d", i), strings.Repeat("x", 1024)))
		},
		"pod": func(f *fixture, i int) (*Item, error) { return f.pods().Create(f.Context(), realPod(i)) },
	} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, Options{})
			size := 0
			for i := range n {
				item, err := create(f, i)
				if err != nil {
					b.Fatal(err)
				}
				size += item.Size()
			}
			f.cache.Close()
			f.cache = nil
			before := heap()
			for b.Loop() {
				c, err := Open(b.Context(), f.store, f.kinds.all(), Options{Replay: -1})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(heap()-before)/n, "heap-B/object")
				b.ReportMetric(float64(size)/n, "stored-B/object")
				c.Close()
				b.StartTimer()
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	f := newFixture(b, Options{})
	fillPods(b, f, 5000)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := f.pods().Get("default", "web-5d4f8c7b9-02500"); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkList takes a snapshot and walks its 5,000 pods.
func BenchmarkList(b *testing.B) {
	f := newFixture(b, Options{})
	fillPods(b, f, 5000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		f.pods().Snapshot().Ascend("", "", "", func(*Item) bool { n++; return true })
		if n != 5000 {
			b.Fatal(n)
		}
	}
}

// BenchmarkUpdate is a write through codec, engine (in memory) and follower,
// with a snapshot taken after each, so that every write copies its path.
func BenchmarkUpdate(b *testing.B) {
	f := newFixture(b, Options{})
	fillPods(b, f, 5000)
	item, _ := f.pods().Get("default", "web-5d4f8c7b9-02500")
	b.ReportAllocs()
	for b.Loop() {
		obj := item.Object.DeepCopyObject().(api.Object)
		var err error
		if item, err = f.pods().Update(b.Context(), item, obj); err != nil {
			b.Fatal(err)
		}
		f.pods().Snapshot()
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFanOut is the CPU per event delivered to each of the watchers,
// writing included, with 16 writers.
func BenchmarkFanOut(b *testing.B) {
	for _, watchers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			f := newFixture(b, Options{})
			const writers = 16
			items := make([]*Item, writers)
			for i := range items {
				items[i] = f.create(f.pods(), realPod(i))
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var reading, writing sync.WaitGroup
			start := f.cache.Revision()
			per := b.N/writers + 1
			for range watchers {
				w := f.watch(f.pods(), start)
				reading.Go(func() { drain(ctx, b, w, per*writers) })
			}
			b.ResetTimer()
			before := cpuTime()
			for i := range items {
				writing.Go(func() { updateMany(ctx, b, f.pods(), items[i], per) })
			}
			writing.Wait()
			reading.Wait()
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(per*writers*watchers), "cpu-ns/delivery")
		})
	}
}

func drain(ctx context.Context, b *testing.B, w *Watch, n int) {
	for n > 0 {
		events, err := w.Next(ctx)
		if err != nil {
			b.Error(err)
			return
		}
		n -= len(events)
	}
}

func updateMany(ctx context.Context, b *testing.B, r *Resource, item *Item, n int) {
	for range n {
		var err error
		if item, err = r.Update(ctx, item, item.Object.DeepCopyObject().(api.Object)); err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkOpen loads a cache of 10,000 pods from an engine on disk.
func BenchmarkOpen(b *testing.B) {
	st, err := disk.Open(b.Context(), disk.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	f := &fixture{TB: b, store: st, kinds: newTestKinds()}
	f.cache = f.open(Options{})
	fillPods(b, f, 10_000)
	for b.Loop() {
		c, err := Open(b.Context(), st, f.kinds.all(), Options{Replay: -1})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		c.Close()
		b.StartTimer()
	}
}
