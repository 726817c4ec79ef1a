package main

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// scene is a cluster at one moment, and a pod that looks for a node.
type scene struct {
	nodes      []*corev1.Node
	pods       []*corev1.Pod // on nodes
	namespaces []*corev1.Namespace
	services   []*corev1.Service
	pod        *corev1.Pod
}

const gpu = "example.com/gpu"

// dice makes scenes: the same seed, the same scene.
type dice struct{ *rand.Rand }

func (d dice) one(of ...string) string { return of[d.IntN(len(of))] }

// in tells yes in one of n cases.
func (d dice) in(n int) bool { return d.IntN(n) == 0 }

func newScene(seed uint64) *scene {
	d := dice{rand.New(rand.NewPCG(seed, 0x5ced))}
	s := &scene{}
	for _, name := range []string{"x", "y"} {
		s.namespaces = append(s.namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}})
	}
	if d.in(2) {
		s.services = append(s.services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "s"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "a"}}})
	}
	for i := range 2 + d.IntN(10) {
		s.nodes = append(s.nodes, d.node(i))
	}
	for i := range d.IntN(25) {
		p := d.pod(fmt.Sprint("there-", i))
		p.Spec.NodeName = s.nodes[d.IntN(len(s.nodes))].Name
		if d.in(6) {
			p.DeletionTimestamp = &metav1.Time{}
		}
		s.pods = append(s.pods, p)
	}
	s.pod = d.pod("new")
	return s
}

func (d dice) node(i int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{corev1.LabelHostname: fmt.Sprint("n", i)}}}
	if !d.in(8) {
		n.Labels[corev1.LabelTopologyZone] = d.one("z1", "z2", "z3")
	}
	if d.in(2) {
		n.Labels["disk"] = d.one("ssd", "hdd", "3")
	}
	for range d.IntN(3) {
		if d.in(2) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: d.one("k", "l"), Value: d.one("", "v"),
				Effect: corev1.TaintEffect(d.one("NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute"))})
		}
	}
	n.Spec.Unschedulable = d.in(12)
	list := corev1.ResourceList{corev1.ResourcePods: resource.MustParse(d.one("2", "5", "110")), corev1.ResourceCPU: resource.MustParse(d.one("1", "4", "7500m")),
		corev1.ResourceMemory: resource.MustParse(d.one("1Gi", "3Gi", "16Gi")), corev1.ResourceEphemeralStorage: resource.MustParse(d.one("1Gi", "50Gi"))}
	if d.in(3) {
		list[gpu] = resource.MustParse(d.one("1", "4"))
	}
	n.Status.Allocatable, n.Status.Capacity = list, list
	for _, image := range []string{"small:1", "large:1", "large:2"} {
		if d.in(3) {
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{image}, SizeBytes: int64(d.IntN(900)) << 20})
		}
	}
	return n
}

func (d dice) pod(name string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.one("x", "x", "y"), Name: name, UID: types.UID(name), Labels: map[string]string{"app": d.one("a", "b", "c")}}}
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	p.Spec.Priority = new(int32(d.IntN(3)))
	for i := range 1 + d.IntN(2) {
		p.Spec.Containers = append(p.Spec.Containers, d.container(fmt.Sprint("c", i)))
	}
	if d.in(5) {
		c := d.container("init")
		if d.in(2) {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
	if d.in(6) {
		p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	}
	for range d.IntN(3) {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: d.one("k", "l", "k"), Value: d.one("", "v"),
			Operator: corev1.TolerationOperator(d.one("", "Equal")), Effect: corev1.TaintEffect(d.one("", "NoSchedule", "PreferNoSchedule"))})
	}
	if d.in(8) {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
	}
	if d.in(4) {
		p.Spec.NodeSelector = map[string]string{"disk": d.one("ssd", "hdd")}
	}
	if d.in(2) {
		p.Spec.Affinity = d.affinity()
	}
	for range d.IntN(3) {
		if d.in(2) {
			p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, d.constraint())
		}
	}
	return p
}

func (d dice) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: d.one("small:1", "large:1", "large:2", "none")}
	c.Resources.Requests = corev1.ResourceList{}
	if d.in(2) {
		c.Resources.Requests[corev1.ResourceCPU] = resource.MustParse(d.one("50m", "300m", "1"))
	}
	if d.in(2) {
		c.Resources.Requests[corev1.ResourceMemory] = resource.MustParse(d.one("10Mi", "700Mi", "1Gi"))
	}
	if d.in(6) {
		c.Resources.Requests[corev1.ResourceEphemeralStorage] = resource.MustParse("600Mi")
	}
	if d.in(8) {
		c.Resources.Requests[gpu] = resource.MustParse("1")
	}
	if d.in(8) {
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 80, HostPort: int32(8080 + d.IntN(2)), HostIP: d.one("", "0.0.0.0", "127.0.0.1"),
			Protocol: corev1.Protocol(d.one("TCP", "TCP", "UDP"))})
	}
	return c
}
