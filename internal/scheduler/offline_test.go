package scheduler

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

func ofPriority(p int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Priority = &p }
}

func TestOffline(t *testing.T) {
	o := NewOffline(Profile{Name: "p", Plugins: plugins.Default(plugins.Sources{})}, 1)
	for i := range 3 {
		o.SetNode(newNode(fmt.Sprint("n", i), func(n *corev1.Node) { n.Status.Allocatable = amounts("4", "32Gi", "2") }))
	}
	there := newPod("there", ofPriority(1))
	there.Spec.NodeName = "n0"
	o.AddPod(there)
	for i := range 5 {
		if _, err := o.Place(newPod(fmt.Sprint("p", i), ofPriority(5))); err != nil {
			t.Fatal(err)
		}
	}
	if node, err := o.Place(newPod("more", ofPriority(5))); err == nil || err.Error() != "0/3 nodes are available: 3 Too many pods." {
		t.Errorf("placed on %q: %v", node, err)
	}
	node, victims, err := o.PlaceByForce(newPod("strong", ofPriority(9)), time.Unix(0, 0))
	if err != nil || node != "n0" || len(victims) != 1 || victims[0].Name != "there" {
		t.Errorf("placed on %q instead of %v: %v", node, victims, err)
	}
	o.SetNode(newNode("free"))
	rated := o.Rate(newPod("asked"))
	if len(rated) != 4 || rated["n1"].Refused == nil || rated["free"].Refused != nil || rated["free"].Total == 0 || rated["free"].Scores["NodeResourcesFit"] == 0 {
		t.Errorf("rated %+v", rated)
	}
}

// An image counts by the part of all nodes that have it, also of those that
// do not take the pod.
func TestImagesAreCountedOnAllNodes(t *testing.T) {
	o := NewOffline(Profile{Name: "p", Plugins: []plugins.Weighted{{Plugin: plugins.NodeUnschedulable{}}, {Plugin: plugins.ImageLocality{}, Weight: 1}}}, 1)
	for i := range 4 {
		o.SetNode(newNode(fmt.Sprint("n", i), func(n *corev1.Node) {
			n.Spec.Unschedulable = i > 1
			if i == 0 {
				n.Status.Images = []corev1.ContainerImage{{Names: []string{"big:1"}, SizeBytes: 1000 << 20}}
			}
		}))
	}
	pod := newPod("p", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "big:1" })
	before := o.Rate(pod)["n0"].Total
	o.SetNode(newNode("n3", func(n *corev1.Node) {
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"big:1"}, SizeBytes: 1000 << 20}}
	}))
	if after := o.Rate(pod)["n0"].Total; before != 23 || after != 48 {
		t.Errorf("%d where one of four nodes has the image, %d where two have it", before, after)
	}
}
