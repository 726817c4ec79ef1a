package testkit

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// BenchmarkDensity brings 10 Deployments of 500 replicas each to Ready on
// 1,000 simulated nodes and takes them away again: three rounds make the
// figures of docs/benchmarks.md (-benchtime=3x).
func BenchmarkDensity(b *testing.B) {
	const deployments, replicas = 10, 500
	c := Start(b, Options{Nodes: 1000})
	api := client.For[*appsv1.Deployment](c.Admin)
	inf := client.InformerFor[*appsv1.Deployment](c.Informers)
	pods := 0
	var up, down time.Duration
	var cpu float64
	b.ResetTimer()
	for round := range b.N {
		begun, used := time.Now(), cpuSeconds(b)
		var creating sync.WaitGroup
		for i := range deployments {
			creating.Go(func() {
				if _, err := api.Create(b.Context(), deployment(fmt.Sprintf("d%d-%d", round, i), replicas)); err != nil {
					b.Error(err)
				}
			})
		}
		creating.Wait()
		await.Until(b, 2*time.Minute, "all pods are ready", func() bool {
			ready := int32(0)
			for _, d := range inf.List("default", nil) {
				ready += d.Status.ReadyReplicas
			}
			return ready == deployments*replicas
		})
		up += time.Since(begun)
		cpu += cpuSeconds(b) - used
		pods += deployments * replicas
		begun = time.Now()
		foreground := metav1.DeletePropagationForeground
		if err := api.DeleteCollection(b.Context(), "default", metav1.DeleteOptions{PropagationPolicy: &foreground}, metav1.ListOptions{}); err != nil {
			b.Fatal(err)
		}
		await.Until(b, 2*time.Minute, "all is gone", func() bool { return inf.Len() == 0 })
		down += time.Since(begun)
	}
	b.StopTimer()
	runtime.GC()
	b.ReportMetric(float64(pods)/up.Seconds(), "pods/s")
	b.ReportMetric(1000*cpu/float64(pods), "CPU-ms/pod")
	b.ReportMetric(float64(pods)/down.Seconds(), "deleted/s")
	b.ReportMetric(resident(b), "MiB-resident")
}

func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// resident is the process's memory in MiB.
func resident(b *testing.B) float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}

// BenchmarkOnePod takes one Deployment of one replica from its creation to
// Ready on a simulated node: the control plane's share of a pod's start.
func BenchmarkOnePod(b *testing.B) {
	c := Start(b, Options{Nodes: 3})
	api := client.For[*appsv1.Deployment](c.Admin)
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	ready := make(chan string, 16)
	pods.OnChange(func(_, new *corev1.Pod) {
		if new == nil {
			return
		}
		for _, cond := range new.Status.Conditions {
			if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
				select {
				case ready <- new.Labels["app"]:
				default:
				}
			}
		}
	})
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint("d", i)
		if _, err := api.Create(b.Context(), deployment(name, 1)); err != nil {
			b.Fatal(err)
		}
		for app := range ready {
			if app == name {
				break
			}
		}
		b.StopTimer()
		if err := api.Delete(b.Context(), "default", name, metav1.DeleteOptions{}); err != nil {
			b.Fatal(err)
		}
		await.Until(b, time.Minute, "the pod is gone", func() bool { return pods.Len() == 0 })
		b.StartTimer()
	}
}
