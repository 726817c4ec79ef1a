package scheduler

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

func claimed(names ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, n := range names {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: n, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: n},
			}})
		}
	}
}

func newClaim(name, class, volume string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Annotations: map[string]string{}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: volume, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	if volume != "" {
		c.Annotations["pv.kubernetes.io/bind-completed"] = "yes"
	}
	for _, fn := range change {
		fn(c)
	}
	return c
}

// newVolume can be reached from one node.
func newVolume(name, class, node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: class, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable},
	}
}

// shelf answers from lists.
func shelf(claims []*corev1.PersistentVolumeClaim, pvs []*corev1.PersistentVolume) plugins.Volumes {
	late := storagev1.VolumeBindingWaitForFirstConsumer
	classes := map[string]*storagev1.StorageClass{
		"late":   {ObjectMeta: metav1.ObjectMeta{Name: "late"}, Provisioner: "example.com/disk", VolumeBindingMode: &late},
		"static": {ObjectMeta: metav1.ObjectMeta{Name: "static"}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &late},
		"zoned": {ObjectMeta: metav1.ObjectMeta{Name: "zoned"}, Provisioner: "example.com/disk", VolumeBindingMode: &late,
			AllowedTopologies: []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{
				{Key: corev1.LabelHostname, Values: []string{"b"}},
			}}}},
	}
	return plugins.Volumes{
		Claim: func(_, name string) *corev1.PersistentVolumeClaim {
			for _, c := range claims {
				if c.Name == name {
					return c
				}
			}
			return nil
		},
		Volume: func(name string) *corev1.PersistentVolume {
			for _, v := range pvs {
				if v.Name == name {
					return v
				}
			}
			return nil
		},
		All:   func() []*corev1.PersistentVolume { return append([]*corev1.PersistentVolume(nil), pvs...) },
		Class: func(name string) *storagev1.StorageClass { return classes[name] },
		Node: func(name string) *storagev1.CSINode {
			one := int32(1)
			return &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
				{Name: "limited", NodeID: name, Allocatable: &storagev1.VolumeNodeResources{Count: &one}},
			}}}
		},
		Promised: plugins.NewPromises(),
	}
}

type planned struct {
	Bind      map[string]string // volume by claim
	Provision []string
}

func readPlan(p *plugins.VolumePlan) *planned {
	if p == nil {
		return nil
	}
	out := &planned{}
	for _, b := range p.Bind {
		if out.Bind == nil {
			out.Bind = map[string]string{}
		}
		out.Bind[b.Claim.Name] = b.Volume.Name
	}
	for _, c := range p.Provision {
		out.Provision = append(out.Provision, c.Name)
	}
	return out
}

// TestPodsGoWhereTheirVolumesAre: nodes a and b.
func TestPodsGoWhereTheirVolumesAre(t *testing.T) {
	type claims = []*corev1.PersistentVolumeClaim
	type pvs = []*corev1.PersistentVolume
	csi := func(name string) *corev1.PersistentVolume {
		v := newVolume(name, "x", "a")
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "limited", VolumeHandle: name}
		return v
	}
	once := func(c *corev1.PersistentVolumeClaim) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	}
	cases := []struct {
		name   string
		claims claims
		pvs    pvs
		there  *corev1.Pod // on a
		pod    *corev1.Pod
		node   string
		plan   *planned
		why    string
	}{
		{name: "no claim", pod: newPod("p", claimed("c")), why: `0/2 nodes are available: persistentvolumeclaim "c" not found.`},
		{name: "not bound", claims: claims{newClaim("c", "now", "")}, pod: newPod("p", claimed("c")), why: "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."},
		{name: "bound on b", claims: claims{newClaim("c", "x", "v")}, pvs: pvs{newVolume("v", "x", "b")}, pod: newPod("p", claimed("c")), node: "b"},
		{name: "bound elsewhere", claims: claims{newClaim("c", "x", "v")}, pvs: pvs{newVolume("v", "x", "z")}, pod: newPod("p", claimed("c")), why: "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity."},
		{name: "bound to nothing", claims: claims{newClaim("c", "x", "v")}, pod: newPod("p", claimed("c")), why: "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."},
		{name: "a volume that waits", claims: claims{newClaim("c", "static", "")}, pvs: pvs{newVolume("v", "static", "b")}, pod: newPod("p", claimed("c")), node: "b", plan: &planned{Bind: map[string]string{"c": "v"}}},
		{name: "no volume for the second claim", claims: claims{newClaim("c", "static", ""), newClaim("d", "static", "")}, pvs: pvs{newVolume("v", "static", "b")}, pod: newPod("p", claimed("c", "d")), why: "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."},
		{name: "to be made where allowed", claims: claims{newClaim("c", "zoned", "")}, pod: newPod("p", claimed("c")), node: "b", plan: &planned{Provision: []string{"c"}}},
		{
			name: "being made", pod: newPod("p", claimed("c")), node: "a", plan: &planned{Provision: []string{"c"}},
			claims: claims{newClaim("c", "late", "", func(c *corev1.PersistentVolumeClaim) { c.Annotations["volume.kubernetes.io/selected-node"] = "a" })},
		},
		{
			name: "one pod only", claims: claims{newClaim("c", "x", "v", once)}, pvs: pvs{newVolume("v", "x", "b")},
			there: newPod("o", claimed("c")), pod: newPod("p", claimed("c")),
			why: "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.",
		},
		{
			name: "too many volumes", claims: claims{newClaim("c", "x", "v"), newClaim("d", "x", "w")}, pvs: pvs{csi("v"), csi("w")},
			there: newPod("o", claimed("d")), pod: newPod("p", claimed("c")),
			why: "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) exceed max volume count.",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, p := choosing(plugins.Sources{Volumes: shelf(c.claims, c.pvs)}, "a", "b")
			if c.there != nil {
				s.cluster.addPod("a", c.there, framework.UsageOf(c.there))
			}
			node, needs, why := choice(s, p, c.pod)
			if node != c.node || why != c.why {
				t.Errorf("it goes to %q, or nowhere: %q; want %q: %q", node, why, c.node, c.why)
			}
			if diff := cmp.Diff(c.plan, readPlan(needs.volumes)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVolumesArePromisedOnce(t *testing.T) {
	from := plugins.Sources{Volumes: shelf(
		[]*corev1.PersistentVolumeClaim{newClaim("c", "static", ""), newClaim("d", "static", "")}, []*corev1.PersistentVolume{newVolume("v", "static", "a")},
	)}
	s, p := choosing(from, "a")
	s.volumes = &volumes{promised: from.Volumes.Promised}
	node, needs, why := choice(s, p, newPod("p", claimed("c")))
	if why != "" {
		t.Fatal(why)
	}
	s.volumes.promise(needs.volumes, node)
	if node, _, _ := choice(s, p, newPod("q", claimed("d"))); node != "" {
		t.Error("a promised volume was given to a second claim")
	}
	s.volumes.release(needs.volumes)
	if _, _, why := choice(s, p, newPod("q", claimed("d"))); why != "" {
		t.Error(why)
	}
}
