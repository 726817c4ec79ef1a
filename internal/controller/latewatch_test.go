package controller_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apirequest "github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/testkit"
)

// lateWatch tells of changes of one resource a second late.
type lateWatch struct {
	apirequest.Transport
	resource string
}

func (l lateWatch) Watch(ctx context.Context, req *apirequest.Request) (apirequest.Stream, error) {
	s, err := l.Transport.Watch(ctx, req)
	if err == nil && req.Kind.Resource == l.resource {
		s = lateStream{s}
	}
	return s, err
}

type lateStream struct{ apirequest.Stream }

func (s lateStream) Next(ctx context.Context) ([]apirequest.Event, error) {
	events, err := s.Stream.Next(ctx)
	time.Sleep(time.Second) // virtual
	return events, err
}

// hearingLate runs controllers that hear late of a resource, in virtual time.
func hearingLate(t *testing.T, resource string, do func(t *testing.T, c *testkit.Cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
		stop := c.Controllers(t, func(under apirequest.Transport) apirequest.Transport { return lateWatch{under, resource} })
		time.Sleep(time.Minute) // virtual
		do(t, c)
		stop()
	})
}

// A volume that one node may have is attached to one of two nodes whose pods
// come at the same time.
func TestAVolumeIsAttachedToOneOfTwoNodes(t *testing.T) {
	hearingLate(t, "volumeattachments", func(t *testing.T, c *testkit.Cluster) {
		claim := volumeClaim("data")
		claim.Spec.VolumeName = "disk"
		create(t, c, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "disk"}, Spec: corev1.PersistentVolumeSpec{
			AccessModes: claim.Spec.AccessModes, Capacity: claim.Spec.Resources.Requests,
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: "data"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "disk.example.com", VolumeHandle: "disk"}},
		}})
		create(t, c, claim)
		for _, node := range []string{"one", "two"} {
			create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
		}
		time.Sleep(5 * time.Second)
		for _, node := range []string{"one", "two"} {
			pod := podOf("on-" + node)
			pod.Spec.NodeName = node
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
			create(t, c, pod)
		}
		time.Sleep(5 * time.Second)
		if got := list[*storagev1.VolumeAttachment](t, c, "", nil); len(got) != 1 {
			t.Errorf("%d attachments of a volume that one node may have: %+v", len(got), got)
		}
	})
}

// Of two ranges that cover one address one stays, though both are deleted.
func TestTheLastRangeOfAnAddressStays(t *testing.T) {
	hearingLate(t, "servicecidrs", func(t *testing.T, c *testkit.Cluster) {
		names := []string{"one", "two"}
		for _, name := range names {
			create(t, c, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.112.0.0/24"}}})
		}
		time.Sleep(5 * time.Second)
		create(t, c, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{
			ClusterIP: "10.112.0.9", Ports: []corev1.ServicePort{{Port: 80}},
		}})
		for _, name := range names {
			remove[*networkingv1.ServiceCIDR](t, c, "", name, metav1.DeletePropagationBackground)
		}
		time.Sleep(time.Minute)
		left := 0
		for _, name := range names {
			if _, there := get[*networkingv1.ServiceCIDR](t, c, "", name); there {
				left++
			}
		}
		if left != 1 {
			t.Errorf("%d ranges are left, want 1", left)
		}
	})
}

// A claim that was made by hand a moment before the pod that is to have one of
// its name is noticed.
func TestAClaimOfAnothersIsNoticedLate(t *testing.T) {
	hearingLate(t, "persistentvolumeclaims", func(t *testing.T, c *testkit.Cluster) {
		claim := volumeClaim("user-scratch")
		create(t, c, claim)
		user := podOf("user")
		user.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim.Spec},
		}}}}
		create(t, c, user)
		time.Sleep(5 * time.Second)
		told := slices.ContainsFunc(list[*corev1.Event](t, c, "default", nil), func(e *corev1.Event) bool {
			return e.Reason == "FailedBinding" && e.InvolvedObject.Name == "user"
		})
		if !told {
			t.Error("the pod is not told of")
		}
		remove[*corev1.PersistentVolumeClaim](t, c, "default", "user-scratch", metav1.DeletePropagationBackground)
		time.Sleep(10 * time.Minute)
		have, there := get[*corev1.PersistentVolumeClaim](t, c, "default", "user-scratch")
		if !there || !metav1.IsControlledBy(have, first(get[*corev1.Pod](t, c, "default", "user"))) {
			t.Errorf("the pod's claim: %v, %+v", there, have)
		}
	})
}

func first[T any](v T, _ bool) T { return v }
