package provisioner

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

func claim(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "c", UID: "1", Annotations: map[string]string{
			storage.Provisioner: localvolume.Provisioner, storage.SelectedNode: "a"}},
		Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("5Gi")}}},
	}
	for _, fn := range change {
		fn(c)
	}
	return c
}

func node(name, folder string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: "host-" + name}}}
	if folder != "" {
		n.Annotations = map[string]string{localvolume.Folder: folder}
	}
	return n
}

func TestPlan(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}}
	nodes := map[string]*corev1.Node{"a": node("a", "/data/local"), "b": node("b", "")}
	find := func(name string) *corev1.Node { return nodes[name] }
	v, err := plan(claim(), class, find)
	if err != nil {
		t.Fatal(err)
	}
	size := v.Spec.Capacity[corev1.ResourceStorage]
	if v.Name != "pvc-1" || v.Spec.Local.Path != "/data/local/pvc-1" || size.String() != "5Gi" || v.Spec.StorageClassName != "local" ||
		!storage.Refers(v, claim()) || v.Spec.PersistentVolumeReclaimPolicy != "Delete" ||
		v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0] != "host-a" {
		t.Errorf("the volume is %+v", v)
	}
	if !localvolume.On(v, "a") || localvolume.On(v, "b") {
		t.Error("the volume is not on its node alone")
	}
	for want, change := range map[string]func(*corev1.PersistentVolumeClaim){
		"volumeMode Block":         func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block },
		"not ReadWriteMany":        func(c *corev1.PersistentVolumeClaim) { c.Spec.AccessModes[0] = corev1.ReadWriteMany },
		"selector":                 func(c *corev1.PersistentVolumeClaim) { c.Spec.Selector = &metav1.LabelSelector{} },
		`node "b" does not hold`:   func(c *corev1.PersistentVolumeClaim) { c.Annotations[storage.SelectedNode] = "b" },
		"no node holds volumes on": func(c *corev1.PersistentVolumeClaim) { delete(c.Annotations, storage.SelectedNode) },
	} {
		if _, err := plan(claim(change), class, find); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if n := first([]*corev1.Node{node("c", "/x"), node("b", "/x"), node("a", "")}); n.Name != "b" {
		t.Errorf("the first is %s", n.Name)
	}
}
