package controller_test

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// A claim gets its volume when its pod has a node, grows, and goes with its
// volume; the node may follow that volume and no other.
func TestVolumesAreMadeOnTheNodeOfTheFirstPod(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	wait, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
	create(t, c, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: localvolume.Provisioner,
		VolumeBindingMode: &wait, AllowVolumeExpansion: &expand})
	create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here", Labels: map[string]string{corev1.LabelHostname: "here"},
		Annotations: map[string]string{localvolume.Folder: "/data"}}})
	claim := volumeClaim("data")
	*claim.Spec.StorageClassName = "local"
	create(t, c, claim)
	claimPhase(t, c, "data", corev1.ClaimPending)

	user := podOf("user")
	user.Spec.NodeName = "here"
	user.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	create(t, c, user)
	claimPhase(t, c, "data", corev1.ClaimBound)
	bound, _ := get[*corev1.PersistentVolumeClaim](t, c, "default", "data")
	name := bound.Spec.VolumeName

	follow := func(node string) error {
		as := client.For[*corev1.PersistentVolume](c.As("system:node:"+node, "system:nodes"))
		_, _, err := as.List(t.Context(), "", metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		return err
	}
	if err := follow("here"); err != nil {
		t.Error("the volume's node: ", err)
	}
	if err := follow("there"); err == nil {
		t.Error("another node sees the volume")
	}

	edit(t, c, "default", "data", func(p *corev1.PersistentVolumeClaim) {
		p.Spec.Resources.Requests["storage"] = resource.MustParse("3Gi")
	})
	await.Until(t, soon, "the claim has grown", func() bool {
		p, _ := get[*corev1.PersistentVolumeClaim](t, c, "default", "data")
		have := p.Status.Capacity["storage"]
		return have.String() == "3Gi"
	})
	deleteNow(t, c, "user")
	remove[*corev1.PersistentVolumeClaim](t, c, "default", "data", metav1.DeletePropagationBackground)
	gone[*corev1.PersistentVolume](t, c, "", name)
}

func volumeClaim(name string) *corev1.PersistentVolumeClaim {
	none := ""
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &none, AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}},
	}}
}

func claimPhase(t *testing.T, c *testkit.Cluster, name string, phase corev1.PersistentVolumeClaimPhase) {
	t.Helper()
	await.Until(t, soon, "claim "+name+" is "+string(phase), func() bool {
		claim, ok := get[*corev1.PersistentVolumeClaim](t, c, "default", name)
		return ok && claim.Status.Phase == phase
	})
}

func deleteNow(t *testing.T, c *testkit.Cluster, pod string) {
	t.Helper()
	now := int64(0)
	if err := client.For[*corev1.Pod](c.Admin).Delete(t.Context(), "default", pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

// TestANodeThatIsGoneIsTakenBack: the node that was chosen for a claim may be
// deleted before its volume is made; the scheduler has to choose another, and
// nobody may do so in its place.
func TestANodeThatIsGoneIsTakenBack(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	create(t, c, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: localvolume.Provisioner, VolumeBindingMode: &wait})
	create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here", Labels: map[string]string{corev1.LabelHostname: "here"},
		Annotations: map[string]string{localvolume.Folder: "/data"}}})
	claim := volumeClaim("data")
	*claim.Spec.StorageClassName = "local"
	claim.Annotations = map[string]string{"volume.kubernetes.io/selected-node": "gone"}
	create(t, c, claim)
	chosen := func() string {
		p, _ := get[*corev1.PersistentVolumeClaim](t, c, "default", "data")
		return p.Annotations["volume.kubernetes.io/selected-node"]
	}
	await.Until(t, soon, "the node is taken back", func() bool { return chosen() == "" })
	edit(t, c, "default", "data", func(p *corev1.PersistentVolumeClaim) {
		p.Annotations["volume.kubernetes.io/selected-node"] = "here"
	})
	claimPhase(t, c, "data", corev1.ClaimBound)
}

// TestTheFirstNodeWithADiskIsNotMissed: a claim that is not to wait for a pod
// may be there long before a node that holds volumes.
func TestTheFirstNodeWithADiskIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{NoScheduler: true})
		now := storagev1.VolumeBindingImmediate
		create(t, c, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: localvolume.Provisioner, VolumeBindingMode: &now})
		claim := volumeClaim("data")
		*claim.Spec.StorageClassName = "local"
		create(t, c, claim)
		time.Sleep(time.Hour) // of virtual time: the pause between two tries is as long as it gets
		claimPhase(t, c, "data", corev1.ClaimPending)
		create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here", Labels: map[string]string{corev1.LabelHostname: "here"},
			Annotations: map[string]string{localvolume.Folder: "/data"}}})
		begun := time.Now()
		claimPhase(t, c, "data", corev1.ClaimBound)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("its volume was made after %s", took)
		}
	})
}
