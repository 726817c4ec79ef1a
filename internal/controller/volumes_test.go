package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func persistentVolume(name string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{"storage": resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp/nowhere"}},
	}}
}

func volumeClaim(name string) *corev1.PersistentVolumeClaim {
	none := ""
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &none, AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}},
	}}
}

// volumePhase waits until the volume is in a phase.
func volumePhase(t *testing.T, c *testkit.Cluster, name string, phase corev1.PersistentVolumePhase) {
	t.Helper()
	testkit.Eventually(t, soon, "volume "+name+" is "+string(phase), func() bool {
		v, _ := get[*corev1.PersistentVolume](t, c, "", name)
		return v.Status.Phase == phase
	})
}

func claimPhase(t *testing.T, c *testkit.Cluster, name string, phase corev1.PersistentVolumeClaimPhase) {
	t.Helper()
	testkit.Eventually(t, soon, "claim "+name+" is "+string(phase), func() bool {
		claim, ok := get[*corev1.PersistentVolumeClaim](t, c, "default", name)
		return ok && claim.Status.Phase == phase
	})
}

func TestClaimsAreBoundAndProtected(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, volumeClaim("first"))
	claimPhase(t, c, "first", corev1.ClaimPending)
	create(t, c, persistentVolume("one"))
	claimPhase(t, c, "first", corev1.ClaimBound)
	volumePhase(t, c, "one", corev1.VolumeBound)
	create(t, c, volumeClaim("second"))
	claimPhase(t, c, "second", corev1.ClaimPending)

	user := podOf("user")
	user.Spec.NodeName = "somewhere"
	user.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "first"}}}}
	create(t, c, user)
	remove[*corev1.PersistentVolumeClaim](t, c, "default", "first", metav1.DeletePropagationBackground)
	remove[*corev1.PersistentVolume](t, c, "", "one", metav1.DeletePropagationBackground)
	if _, there := get[*corev1.PersistentVolumeClaim](t, c, "default", "first"); !there {
		t.Error("a claim went while a pod used it")
	}
	deleteNow(t, c, "user")
	gone[*corev1.PersistentVolumeClaim](t, c, "default", "first")
	gone[*corev1.PersistentVolume](t, c, "", "one")
}

func TestReleasedVolumesWaitForTheirOwner(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	create(t, c, persistentVolume("kept"))
	volumePhase(t, c, "kept", corev1.VolumeAvailable)
	create(t, c, volumeClaim("first"))
	claimPhase(t, c, "first", corev1.ClaimBound)
	remove[*corev1.PersistentVolumeClaim](t, c, "default", "first", metav1.DeletePropagationBackground)
	volumePhase(t, c, "kept", corev1.VolumeReleased)
	create(t, c, volumeClaim("second"))
	edit(t, c, "", "kept", func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil })
	claimPhase(t, c, "second", corev1.ClaimBound)
}

func TestEphemeralVolumesGetTheirClaim(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	user := podOf("user")
	user.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
		VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{ObjectMeta: metav1.ObjectMeta{Labels: labelsOf("x")}, Spec: volumeClaim("").Spec}}}}}
	create(t, c, user)
	claimPhase(t, c, "user-v", corev1.ClaimPending)
	claim, _ := get[*corev1.PersistentVolumeClaim](t, c, "default", "user-v")
	if metav1.GetControllerOf(claim) == nil || claim.Labels["app"] != "x" {
		t.Errorf("the claim is %+v", claim.ObjectMeta)
	}
	deleteNow(t, c, "user")
	gone[*corev1.PersistentVolumeClaim](t, c, "default", "user-v")
}

func deleteNow(t *testing.T, c *testkit.Cluster, pod string) {
	t.Helper()
	now := int64(0)
	if err := client.For[*corev1.Pod](c.Admin).Delete(t.Context(), "default", pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

// A volume whose driver attaches it is recorded for the node of its pod, and
// in the node's status when the driver, played by the test, is done.
func TestVolumesOfDriversAreAttached(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}})
	v := persistentVolume("disk")
	v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "disk.example.com", VolumeHandle: "h"}}
	create(t, c, v)
	create(t, c, volumeClaim("data"))
	claimPhase(t, c, "data", corev1.ClaimBound)
	user := podOf("user")
	user.Spec.NodeName = "here"
	user.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	create(t, c, user)
	var a *storagev1.VolumeAttachment
	testkit.Eventually(t, soon, "the volume is to be attached", func() bool {
		all := list[*storagev1.VolumeAttachment](t, c, "", nil)
		if len(all) == 1 {
			a = all[0]
		}
		return a != nil
	})
	if a.Spec.Attacher != "disk.example.com" || a.Spec.NodeName != "here" || *a.Spec.Source.PersistentVolumeName != "disk" {
		t.Errorf("the attachment is %+v", a.Spec)
	}
	a = a.DeepCopy()
	a.Status.Attached = true
	if _, err := client.For[*storagev1.VolumeAttachment](c.Admin).UpdateStatus(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, soon, "the node is told", func() bool {
		n, _ := get[*corev1.Node](t, c, "", "here")
		return len(n.Status.VolumesAttached) == 1 && n.Status.VolumesAttached[0].Name == "kubernetes.io/csi/disk.example.com^h"
	})
	deleteNow(t, c, "user")
	gone[*storagev1.VolumeAttachment](t, c, "", a.Name)
	testkit.Eventually(t, soon, "the node is told of the end", func() bool {
		n, _ := get[*corev1.Node](t, c, "", "here")
		return len(n.Status.VolumesAttached) == 0
	})
}
