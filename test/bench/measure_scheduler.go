package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// The scheduler alone: no API, no bindings; what it takes to decide.
const (
	schedulerNodes = 5000
	schedulerPods  = 1000
)

// workload is a kind of pods that wait for nodes.
type workload struct {
	name   string
	budget string
	change func(*corev1.Pod)
	// full: every node is full of pods of lower priority.
	full bool
}

func workloads() []workload {
	like := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "bench"}}
	zone := []corev1.PodAffinityTerm{{LabelSelector: like, TopologyKey: corev1.LabelTopologyZone}}
	host := []corev1.PodAffinityTerm{{LabelSelector: like, TopologyKey: corev1.LabelHostname}}
	return []workload{
		{name: "basic", budget: "3,000", change: func(*corev1.Pod) {}},
		{name: "spread over zones", budget: "1,500", change: func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: like}}
		}},
		{name: "required affinity to a zone", change: func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: zone}}
		}},
		{name: "required anti-affinity on a host", budget: "1,000", change: func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: host}}
		}},
		{name: "preemption", change: func(*corev1.Pod) {}, full: true},
	}
}

func measureScheduler(ctx context.Context, _ *cluster) ([]figure, error) {
	var figures []figure
	for _, w := range workloads() {
		f, err := w.measure(ctx, schedulerNodes)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	// Growth: what a decision costs in a cluster of a quarter the size.
	for _, w := range workloads() {
		f, err := w.measure(ctx, schedulerNodes/4)
		if err != nil {
			return nil, err
		}
		f.Budget = ""
		figures = append(figures, f)
	}
	return figures, nil
}

// measure lets pods find their nodes, in rounds.
func (w workload) measure(ctx context.Context, nodes int) (figure, error) {
	var rates, cpus []float64
	for round := range rounds {
		if err := ctx.Err(); err != nil {
			return figure{}, err
		}
		o := w.scene(nodes, uint64(round))
		begun, before := time.Now(), ownCPU()
		for i := range schedulerPods {
			if _, _, err := o.PlaceByForce(w.pod(fmt.Sprint("new-", i), 10, "900m"), begun); err != nil {
				return figure{}, fmt.Errorf("%s: %w", w.name, err)
			}
		}
		rates = append(rates, schedulerPods/time.Since(begun).Seconds())
		cpus = append(cpus, milliseconds(ownCPU()-before)/schedulerPods)
	}
	return spread(fmt.Sprintf("scheduler alone, %d nodes: %s", nodes, w.name), "pods/s", w.budget, rates).using(cpus, 0), nil
}

// scene is a cluster before the workload comes.
func (w workload) scene(nodes int, seed uint64) *scheduler.Offline {
	o := scheduler.NewOffline(scheduler.Profile{Name: corev1.DefaultSchedulerName, Plugins: plugins.Default(plugins.Sources{})}, seed)
	for i := range nodes {
		name := fmt.Sprint("node-", i)
		o.SetNode(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprint("zone-", i%3)}},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110")}},
		})
		for k := 0; w.full && k < 4; k++ {
			p := w.pod(fmt.Sprintf("old-%d-%d", i, k), 0, "900m")
			p.Spec.NodeName = name
			o.AddPod(p)
		}
	}
	return o
}

func (w workload) pod(name string, priority int32, cpu string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name), Labels: map[string]string{"app": "bench"}},
		Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "c", Image: image, Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("500Mi")}}}}},
	}
	w.change(p)
	return p
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
