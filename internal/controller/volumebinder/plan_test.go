package volumebinder

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

func claim(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	class := ""
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "c", UID: "1", Annotations: map[string]string{}},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
			Resources: corev1.VolumeResourceRequirements{Requests: size("5Gi")}}}
	for _, fn := range change {
		fn(c)
	}
	return c
}

func size(s string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(s)}
}

func volume(name, capacity string, change ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}}, Spec: corev1.PersistentVolumeSpec{
		Capacity: size(capacity), AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
	}, Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable}}
	for _, fn := range change {
		fn(v)
	}
	return v
}

func refers(uid string) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "n", Name: "c", UID: types.UID(uid)}
	}
}

func ofClass(name string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &name }
}

func TestMatch(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	many := func(v *corev1.PersistentVolume) { v.Spec.AccessModes = append(v.Spec.AccessModes, "ReadWriteMany") }
	labeled := volume("labeled", "5Gi")
	labeled.Labels = map[string]string{"disk": "fast"}
	for name, c := range map[string]struct {
		claim   *corev1.PersistentVolumeClaim
		volumes []*corev1.PersistentVolume
		onlyOwn bool
		want    string
	}{
		"the smallest that fits": {claim: claim(), volumes: []*corev1.PersistentVolume{volume("big", "10Gi"), volume("small", "5Gi"), volume("tiny", "1Gi")}, want: "small"},
		"the fewest modes":       {claim: claim(), volumes: []*corev1.PersistentVolume{volume("shared", "5Gi", many), volume("own", "9Gi")}, want: "own"},
		"set aside goes first":   {claim: claim(), volumes: []*corev1.PersistentVolume{volume("small", "5Gi"), volume("mine", "50Gi", refers(""))}, want: "mine"},
		"set aside for another":  {claim: claim(), volumes: []*corev1.PersistentVolume{volume("theirs", "5Gi", refers("2"))}},
		"only what is set aside": {claim: claim(), volumes: []*corev1.PersistentVolume{volume("small", "5Gi")}, onlyOwn: true},
		"another class":          {claim: claim(ofClass("x")), volumes: []*corev1.PersistentVolume{volume("small", "5Gi")}},
		"another volume mode":    {claim: claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block }), volumes: []*corev1.PersistentVolume{volume("small", "5Gi")}},
		"an access mode is missing": {claim: claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{"ReadWriteOncePod"}
		}),
			volumes: []*corev1.PersistentVolume{volume("small", "5Gi")}},
		"the selector": {claim: claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"disk": "fast"}}
		}), volumes: []*corev1.PersistentVolume{volume("plain", "5Gi"), labeled}, want: "labeled"},
		"released volumes stay": {claim: claim(), volumes: []*corev1.PersistentVolume{volume("r", "5Gi", func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeReleased })}},
	} {
		got, err := match(c.claim, c.volumes, c.onlyOwn)
		if name2 := nameOf(got); err != nil || name2 != c.want {
			t.Errorf("%s: %q, %v", name, name2, err)
		}
	}
}

func nameOf(v *corev1.PersistentVolume) string {
	if v == nil {
		return ""
	}
	return v.Name
}

func TestPlanClaim(t *testing.T) {
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	classes := []*storagev1.StorageClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "late", Annotations: map[string]string{storage.DefaultClass: "true"}}, Provisioner: "example.com/p", VolumeBindingMode: &wait},
		{ObjectMeta: metav1.ObjectMeta{Name: "soon"}, Provisioner: "example.com/p"},
		{ObjectMeta: metav1.ObjectMeta{Name: "never"}, Provisioner: "kubernetes.io/no-provisioner"},
	}
	bound := func(c *corev1.PersistentVolumeClaim) {
		c.Spec.VolumeName = "v"
		c.Annotations[storage.BindCompleted] = "yes"
	}
	wants := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" }
	selected := func(c *corev1.PersistentVolumeClaim) { c.Annotations[storage.SelectedNode] = "node" }
	placed := []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: "there"}}}
	for name, c := range map[string]struct {
		claim   *corev1.PersistentVolumeClaim
		volumes []*corev1.PersistentVolume
		pods    []*corev1.Pod
		// what comes out
		bind, class, provisioner, node, reason string
		phase                                  corev1.PersistentVolumeClaimPhase
	}{
		"binds":                       {claim: claim(), volumes: []*corev1.PersistentVolume{volume("v", "5Gi")}, bind: "v"},
		"nothing there":               {claim: claim(), reason: "FailedBinding", phase: "Pending"},
		"the default class":           {claim: claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil }), class: "late", phase: "Pending"},
		"no such class":               {claim: claim(ofClass("none")), reason: "ProvisioningFailed", phase: "Pending"},
		"a class that makes none":     {claim: claim(ofClass("never")), reason: "ProvisioningFailed", phase: "Pending"},
		"provision at once":           {claim: claim(ofClass("soon")), provisioner: "example.com/p", reason: "ExternalProvisioning", phase: "Pending"},
		"wait for a pod":              {claim: claim(ofClass("late")), reason: "WaitForFirstConsumer", phase: "Pending"},
		"wait for the pod's node":     {claim: claim(ofClass("late")), pods: []*corev1.Pod{{}}, reason: "WaitForPodScheduled", phase: "Pending"},
		"the scheduler chose":         {claim: claim(ofClass("late"), selected), provisioner: "example.com/p", node: "node", reason: "ExternalProvisioning", phase: "Pending"},
		"the pod has its node":        {claim: claim(ofClass("late")), pods: placed, provisioner: "example.com/p", node: "there", reason: "ExternalProvisioning", phase: "Pending"},
		"the named volume":            {claim: claim(wants), volumes: []*corev1.PersistentVolume{volume("v", "5Gi"), volume("w", "5Gi")}, bind: "v"},
		"the named one is too small":  {claim: claim(wants), volumes: []*corev1.PersistentVolume{volume("v", "1Gi")}, reason: "VolumeMismatch", phase: "Pending"},
		"the named one is not there":  {claim: claim(wants), phase: "Pending"},
		"the named one is another's":  {claim: claim(wants), volumes: []*corev1.PersistentVolume{volume("v", "5Gi", refers("2"))}, reason: "FailedBinding", phase: "Pending"},
		"bound, and stays":            {claim: claim(bound), volumes: []*corev1.PersistentVolume{volume("v", "5Gi", refers("1"))}, bind: "v"},
		"bound, the volume forgot it": {claim: claim(bound), volumes: []*corev1.PersistentVolume{volume("v", "5Gi")}, bind: "v"},
		"bound, the volume is gone":   {claim: claim(bound), reason: "ClaimLost", phase: "Lost"},
		"bound to another's":          {claim: claim(bound), volumes: []*corev1.PersistentVolume{volume("v", "5Gi", refers("2"))}, reason: "ClaimMisbound", phase: "Lost"},
	} {
		got := planClaim(c.claim, &world{volumes: c.volumes, classes: classes, pods: c.pods})
		reason := ""
		if got.note != nil {
			reason = got.note.reason
		}
		if nameOf(got.bind) != c.bind || got.setClass != c.class || got.provisioner != c.provisioner || got.node != c.node || reason != c.reason || got.phase != c.phase {
			t.Errorf("%s: %+v, %s", name, got, reason)
		}
	}
}

func TestPlanVolume(t *testing.T) {
	here := claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" })
	elsewhere := claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "w" })
	policy := func(p corev1.PersistentVolumeReclaimPolicy, annotations ...string) func(*corev1.PersistentVolume) {
		return func(v *corev1.PersistentVolume) {
			v.Spec.PersistentVolumeReclaimPolicy = p
			for _, name := range annotations {
				v.Annotations[name] = "x"
			}
		}
	}
	for name, c := range map[string]struct {
		volume         *corev1.PersistentVolume
		claim          *corev1.PersistentVolumeClaim
		phase          corev1.PersistentVolumePhase
		unbind, forget bool
	}{
		"free":                        {volume: volume("v", "1Gi"), phase: "Available"},
		"set aside":                   {volume: volume("v", "1Gi", refers("")), phase: "Available"},
		"bound":                       {volume: volume("v", "1Gi", refers("1")), claim: here, phase: "Bound"},
		"the claim is gone, retain":   {volume: volume("v", "1Gi", refers("1"), policy("Retain")), phase: "Released"},
		"gone, nobody deletes":        {volume: volume("v", "1Gi", refers("1"), policy("Delete")), phase: "Failed"},
		"gone, its maker deletes":     {volume: volume("v", "1Gi", refers("1"), policy("Delete", storage.ProvisionedBy)), phase: "Released"},
		"gone, recycle":               {volume: volume("v", "1Gi", refers("1"), policy("Recycle")), phase: "Failed"},
		"a new claim of that name":    {volume: volume("v", "1Gi", refers("2"), policy("Retain")), claim: here, phase: "Released"},
		"the claim went elsewhere":    {volume: volume("v", "1Gi", refers("1"), policy("Retain", storage.BoundByController)), claim: elsewhere, phase: "Available", unbind: true, forget: true},
		"it went; a user's choice":    {volume: volume("v", "1Gi", refers("1"), policy("Retain")), claim: elsewhere, phase: "Available", unbind: true},
		"it went; made for the claim": {volume: volume("v", "1Gi", refers("1"), policy("Delete", storage.ProvisionedBy)), claim: elsewhere, phase: "Released"},
	} {
		got := planVolume(c.volume, c.claim)
		if got.phase != c.phase || got.unbind != c.unbind || got.forget != c.forget {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestGrowingClaimsWaitForTheirDriver(t *testing.T) {
	grown := func(phase corev1.PersistentVolumeClaimPhase, request string) *corev1.PersistentVolumeClaim {
		c := claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.Resources.Requests = size(request) })
		c.Annotations[storage.BindCompleted], c.Spec.VolumeName = "yes", "v"
		c.Status = corev1.PersistentVolumeClaimStatus{Phase: phase, Capacity: size("1Gi")}
		return c
	}
	foreign := volume("v", "1Gi", refers("1"))
	ours := volume("pvc-1", "1Gi", refers("1"), func(v *corev1.PersistentVolume) {
		v.Name, v.Spec.Local = "pvc-1", &corev1.LocalVolumeSource{Path: "/x"}
		v.Annotations[storage.ProvisionedBy] = localvolume.Provisioner
	})
	for name, c := range map[string]struct {
		claim  *corev1.PersistentVolumeClaim
		volume *corev1.PersistentVolume
		want   string
	}{
		"larger":           {grown(corev1.ClaimBound, "2Gi"), foreign, "ExternalExpanding"},
		"as large":         {grown(corev1.ClaimBound, "1Gi"), foreign, ""},
		"not yet bound":    {grown(corev1.ClaimPending, "2Gi"), foreign, ""},
		"on a node's disk": {grown(corev1.ClaimBound, "2Gi"), ours, ""},
	} {
		got := ""
		if n := growing(c.claim, c.volume); n != nil {
			got = n.reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
