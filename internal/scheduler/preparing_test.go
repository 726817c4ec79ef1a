package scheduler_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// pooled makes a class and a device of node-0 that its driver has to prepare.
func pooled(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	node := "node-0"
	_, err := client.For[*resourcev1.DeviceClass](c.Admin).Create(t.Context(), &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.For[*resourcev1.ResourceSlice](c.Admin).Create(t.Context(), &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "slice"},
		Spec: resourcev1.ResourceSliceSpec{
			Driver: "gpu.example.com", NodeName: &node, Pool: resourcev1.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
			Devices: []resourcev1.Device{{Name: "gpu-0", BindingConditions: []string{"prepared"}, BindingFailureConditions: []string{"broken"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asking makes a claim for a device, and a pod of the same name that uses it.
func asking(t *testing.T, c *testkit.Cluster, name string) {
	t.Helper()
	askFor(t, c, name)
	_, err := client.For[*corev1.Pod](c.Admin).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{
			ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &name}},
			Containers:     []corev1.Container{{Name: "c", Image: "example/image:1"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func askFor(t *testing.T, c *testkit.Cluster, name string) {
	t.Helper()
	_, err := client.For[*resourcev1.ResourceClaim](c.Admin).Create(t.Context(), &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
			Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func allocated(claims *client.Informer[*resourcev1.ResourceClaim], name string) func() bool {
	return func() bool {
		c, ok := claims.Get("default", name)
		return ok && c.Status.Allocation != nil
	}
}

// TestDevicesOfADeletedPodAreFree: a pod is deleted while the driver prepares
// its device; alone, or with the claim, which may be made again at once.
func TestDevicesOfADeletedPodAreFree(t *testing.T) {
	for what, c := range map[string]struct{ claim, again bool }{
		"the pod": {}, "pod and claim": {claim: true}, "pod and claim, which is made again": {claim: true, again: true},
	} {
		claim, again := c.claim, c.again
		t.Run(what, func(t *testing.T) {
			c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true, Verbose: testing.Verbose()})
			pods, claims := client.InformerFor[*corev1.Pod](c.Informers), client.InformerFor[*resourcev1.ResourceClaim](c.Informers)
			pooled(t, c)
			asking(t, c, "first")
			await.Until(t, time.Minute, "the first has the device", allocated(claims, "first"))
			asking(t, c, "second")
			await.Until(t, time.Minute, "the second waits for the device", func() bool {
				p, ok := pods.Get("default", "second")
				return ok && len(p.Status.Conditions) > 0 && strings.Contains(p.Status.Conditions[0].Message, "cannot allocate all claims")
			})
			if err := client.For[*corev1.Pod](c.Admin).Delete(t.Context(), "default", "first", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if claim {
				if err := client.For[*resourcev1.ResourceClaim](c.Admin).Delete(t.Context(), "default", "first", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				await.Until(t, time.Minute, "the claim is gone", func() bool { _, there := claims.Get("default", "first"); return !there })
			}
			if again {
				askFor(t, c, "first")
			}
			await.Until(t, 2*time.Minute, "the second has the device", allocated(claims, "second"))
		})
	}
}
