package scheduler_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func add[T api.Object](t *testing.T, c *testkit.Cluster, obj T) T {
	t.Helper()
	out, err := client.For[T](c.Admin).Create(t.Context(), obj)
	if err != nil {
		t.Fatalf("creating %s: %v", obj.GetName(), err)
	}
	return out
}

// TestPodsShareDevicesInTurns: the only device goes to one pod, whose claim is
// made from a template, and to the next when that one is gone.
func TestPodsShareDevicesInTurns(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	claims := client.InformerFor[*resourcev1.ResourceClaim](c.Informers)
	nodes, _, err := client.For[*corev1.Node](c.Admin).List(t.Context(), "", metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	home := nodes[1].Name
	add(t, c, &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}, Spec: resourcev1.DeviceClassSpec{
		Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "gpu.example.com"`}}}}})
	add(t, c, &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "slice"}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpu.example.com", NodeName: &home, Pool: resourcev1.ResourcePool{Name: home, ResourceSliceCount: 1},
		Devices: []resourcev1.Device{{Name: "gpu-0"}}}})
	add(t, c, &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}, Spec: resourcev1.ResourceClaimTemplateSpec{
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
			{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}}}}})
	user := func(name string) *corev1.Pod {
		template := "one"
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
			ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: &template}},
			Containers: []corev1.Container{{Name: "c", Image: "example/image:1",
				Resources: corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "gpu"}}}}},
		}}
	}
	add(t, c, user("first"))
	testkit.Eventually(t, time.Minute, "the first pod runs", running(pods, "first"))
	first, _ := pods.Get("default", "first")
	if first.Spec.NodeName != home {
		t.Errorf("the pod is on %s, the device on %s", first.Spec.NodeName, home)
	}
	claim, ok := claims.Get("default", *first.Status.ResourceClaimStatuses[0].ResourceClaimName)
	if !ok || claim.Status.Allocation == nil || claim.Status.Allocation.Devices.Results[0].Device != "gpu-0" ||
		len(claim.Status.ReservedFor) != 1 || claim.Status.ReservedFor[0].UID != first.UID {
		t.Fatalf("the claim is %+v", claim)
	}
	add(t, c, user("second"))
	testkit.Eventually(t, time.Minute, "the second pod tells why it waits", func() bool {
		p, ok := pods.Get("default", "second")
		return ok && len(p.Status.Conditions) > 0 &&
			p.Status.Conditions[0].Message == "0/2 nodes are available: 2 cannot allocate all claims. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
	})
	if err := client.For[*corev1.Pod](c.Admin).Delete(t.Context(), "default", "first", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, "the first claim is gone", func() bool {
		_, there := claims.Get("default", claim.Name)
		return !there
	})
	testkit.Eventually(t, time.Minute, "the second pod runs", running(pods, "second"))
}
