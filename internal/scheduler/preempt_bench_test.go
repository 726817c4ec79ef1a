package scheduler

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// BenchmarkPreempt places pods on 5,000 nodes that are full of pods of lower
// priority.
func BenchmarkPreempt(b *testing.B) {
	o := NewOffline(Profile{Name: corev1.DefaultSchedulerName, Plugins: plugins.Default(plugins.Sources{})}, 1)
	pod := func(name, node string, priority int32) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "bench"}},
			Spec: corev1.PodSpec{NodeName: node, Priority: &priority, Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("900m"), corev1.ResourceMemory: resource.MustParse("500Mi")}}}}},
		}
	}
	for i := range 5000 {
		name := fmt.Sprint("node-", i)
		o.SetNode(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprint("zone-", i%3)}},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110")}},
		})
		for k := range 4 {
			o.AddPod(pod(fmt.Sprint("old-", i, "-", k), name, 0))
		}
	}
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		if _, _, err := o.PlaceByForce(pod(fmt.Sprint("new-", i), "", 10), now); err != nil {
			b.Fatal(err)
		}
	}
}
