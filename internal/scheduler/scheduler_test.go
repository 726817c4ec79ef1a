package scheduler_test

import (
	"slices"
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

// lateClaim makes a class that waits for the first consumer, whose provisioner
// the test plays, a claim "data" of it and a pod "p" that uses the claim. It gives the
// claim once a node was chosen for it.
func lateClaim(t *testing.T, c *testkit.Cluster) *corev1.PersistentVolumeClaim {
	t.Helper()
	claims := client.For[*corev1.PersistentVolumeClaim](c.Admin)
	late, class := storagev1.VolumeBindingWaitForFirstConsumer, "late"
	_, err := client.For[*storagev1.StorageClass](c.Admin).Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: "example.com/disk", VolumeBindingMode: &late,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = claims.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: once(), Resources: corev1.VolumeResourceRequirements{Requests: oneGiB()},
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
	return chosen(t, c)
}

func once() []corev1.PersistentVolumeAccessMode {
	return []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
}

func oneGiB() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
}

// selected is the annotation by which the scheduler tells the node that it chose.
const selected = "volume.kubernetes.io/selected-node"

// chosen waits until the scheduler has chosen a node for the claim.
func chosen(t *testing.T, c *testkit.Cluster) (claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	await.Until(t, 2*time.Minute, "a node is chosen for the claim", func() (ok bool) {
		var err error
		claim, err = client.For[*corev1.PersistentVolumeClaim](c.Admin).Get(t.Context(), "default", "data")
		return err == nil && claim.Annotations[selected] != ""
	})
	return claim
}

func patchClaim(t *testing.T, c *testkit.Cluster, patch string) {
	t.Helper()
	_, err := client.For[*corev1.PersistentVolumeClaim](c.Admin).Patch(t.Context(), "default", "data", types.MergePatchType, []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
}

// provision makes the claim's volume, and binds it.
func provision(t *testing.T, c *testkit.Cluster, claim *corev1.PersistentVolumeClaim, change ...func(*corev1.PersistentVolume)) {
	t.Helper()
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "made"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: oneGiB(), AccessModes: once(), StorageClassName: *claim.Spec.StorageClassName,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nowhere"}},
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: "default", Name: "data", UID: claim.UID},
		},
	}
	for _, fn := range change {
		fn(volume)
	}
	if _, err := client.For[*corev1.PersistentVolume](c.Admin).Create(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	patchClaim(t, c, `{"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"made"}}`)
}

// TestPodWaitsForItsVolume: the test plays the provisioner of a class that
// waits for the first consumer.
func TestPodWaitsForItsVolume(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	claim := lateClaim(t, c)
	if p, ok := pods.Get("default", "p"); ok && p.Spec.NodeName != "" {
		t.Error("the pod was bound before its volume was there")
	}
	provision(t, c, claim)
	await.Until(t, 2*time.Minute, "the pod runs where its volume was made", func() bool {
		p, ok := pods.Get("default", "p")
		return ok && p.Status.Phase == corev1.PodRunning && p.Spec.NodeName == claim.Annotations[selected]
	})
}

// TestPodGoesWhereItsVolumeWasMade: a provisioner, or a person who binds a
// volume of theirs, may decide for another node than the scheduler.
func TestPodGoesWhereItsVolumeWasMade(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	claim := lateClaim(t, c)
	other := map[string]string{"node-0": "node-1", "node-1": "node-0"}[claim.Annotations[selected]]
	provision(t, c, claim, func(v *corev1.PersistentVolume) {
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{other}}},
		}}}}
	})
	await.Until(t, 2*time.Minute, "the pod has a node", func() bool {
		p, ok := pods.Get("default", "p")
		return ok && p.Spec.NodeName != ""
	})
	if p, _ := pods.Get("default", "p"); p.Spec.NodeName != other {
		t.Errorf("the pod is on %s, and its volume can be reached from %s alone", p.Spec.NodeName, other)
	}
}

// TestPodChangesWhileItIsBound: what a user changes of a pod whose volume is
// being made counts when the pod has to be tried again.
func TestPodChangesWhileItIsBound(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	lateClaim(t, c)
	_, err := client.For[*corev1.Node](c.Admin).Patch(t.Context(), "", "node-0", types.MergePatchType, []byte(`{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	edit := client.For[*corev1.Pod](c.Admin)
	await.Success(t, 2*time.Minute, "the pod tolerates the taint", func() error {
		p, err := edit.Get(t.Context(), "default", "p")
		if err != nil {
			return err
		}
		p = p.DeepCopy()
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists})
		_, err = edit.Update(t.Context(), p)
		return err
	})
	await.Until(t, 2*time.Minute, "the scheduler is told", func() bool {
		p, ok := pods.Get("default", "p")
		return ok && slices.ContainsFunc(p.Spec.Tolerations, func(t corev1.Toleration) bool { return t.Key == "k" })
	})
	patchClaim(t, c, `{"metadata":{"annotations":{"`+selected+`":null}}}`)
	provision(t, c, chosen(t, c))
	await.Until(t, 2*time.Minute, "the pod runs", running(pods, "p"))
}
