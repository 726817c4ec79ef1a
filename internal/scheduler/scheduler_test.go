package scheduler_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func createPod(t *testing.T, c *testkit.Cluster, name, cpu, class string) {
	t.Helper()
	_, err := client.For[*corev1.Pod](c.Admin).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{PriorityClassName: class, Containers: []corev1.Container{{
			Name: "c", Image: "example/image:1",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPreemptionOnARealServer: on one node of 32 CPUs, a pod of a class takes
// the place of one without.
func TestPreemptionOnARealServer(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	events := client.InformerFor[*corev1.Event](c.Informers)
	_, err := client.For[*schedulingv1.PriorityClass](c.Admin).Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := events.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	createPod(t, c, "low", "30", "")
	await.Until(t, 2*time.Minute, "the low pod runs", running(pods, "low"))
	createPod(t, c, "high", "20", "high")
	await.Until(t, 2*time.Minute, "the high pod runs", running(pods, "high"))
	if _, there := pods.Get("default", "low"); there {
		t.Error("the low pod is still there")
	}
	await.Until(t, time.Minute, "the victim's event", func() bool {
		for _, e := range events.List("default", nil) {
			if e.Reason == "Preempted" && e.InvolvedObject.Name == "low" {
				return true
			}
		}
		return false
	})
	createPod(t, c, "late", "30", "")
	await.Until(t, time.Minute, "the late pod tells why it waits", func() bool {
		p, ok := pods.Get("default", "late")
		if !ok {
			return false
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled {
				return c.Message == "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
			}
		}
		return false
	})
}

func running(pods *client.Informer[*corev1.Pod], name string) func() bool {
	return func() bool {
		p, ok := pods.Get("default", name)
		return ok && p.Status.Phase == corev1.PodRunning
	}
}

// TestPodWaitsForItsVolume: the test plays the provisioner of a class that
// waits for the first consumer.
func TestPodWaitsForItsVolume(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	claims := client.For[*corev1.PersistentVolumeClaim](c.Admin)
	late, class := storagev1.VolumeBindingWaitForFirstConsumer, "late"
	_, err := client.For[*storagev1.StorageClass](c.Admin).Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: "example.com/disk", VolumeBindingMode: &late,
	})
	if err != nil {
		t.Fatal(err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim, err := claims.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: modes, Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.For[*corev1.Pod](c.Admin).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}},
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
			}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, 2*time.Minute, "a node is chosen for the claim", func() bool {
		claim, err = claims.Get(t.Context(), "default", "data")
		return err == nil && claim.Annotations["volume.kubernetes.io/selected-node"] != ""
	})
	if p, ok := pods.Get("default", "p"); ok && p.Spec.NodeName != "" {
		t.Error("the pod was bound before its volume was there")
	}
	_, err = client.For[*corev1.PersistentVolume](c.Admin).Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "made"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, StorageClassName: class,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: "default", Name: "data", UID: claim.UID},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	chosen := claim.Annotations["volume.kubernetes.io/selected-node"]
	_, err = claims.Patch(t.Context(), "default", "data", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"made"}}`))
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, 2*time.Minute, "the pod runs where its volume was made", func() bool {
		p, ok := pods.Get("default", "p")
		return ok && p.Status.Phase == corev1.PodRunning && p.Spec.NodeName == chosen
	})
}
