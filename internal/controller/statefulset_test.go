package controller_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func statefulSet(name string, replicas int32, change ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: name, Selector: &metav1.LabelSelector{MatchLabels: labelsOf(name)},
			Template: deployment(name, 1).Spec.Template,
		},
	}
	for _, fn := range change {
		fn(set)
	}
	return set
}

// settledSet waits until a StatefulSet is all of one revision and available.
func settledSet(t *testing.T, c *testkit.Cluster, name string) *appsv1.StatefulSet {
	t.Helper()
	var last *appsv1.StatefulSet
	await.Until(t, soon, "stateful set "+name+" is rolled out", func() bool {
		set, ok := get[*appsv1.StatefulSet](t, c, "default", name)
		last = set
		s := set.Status
		return ok && s.ObservedGeneration == set.Generation && s.Replicas == *set.Spec.Replicas && s.AvailableReplicas == *set.Spec.Replicas &&
			s.UpdatedReplicas == *set.Spec.Replicas && s.CurrentRevision == s.UpdateRevision
	})
	return last
}

func TestStatefulSetLife(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	create(t, c, statefulSet("db", 3, func(set *appsv1.StatefulSet) {
		two := int32(2)
		set.Spec.RevisionHistoryLimit = &two
	}))
	first := settledSet(t, c, "db").Status.CurrentRevision
	for i := range 3 {
		pod, ok := get[*corev1.Pod](t, c, "default", fmt.Sprint("db-", i))
		if !ok || pod.Spec.Hostname != pod.Name || pod.Spec.Subdomain != "db" || pod.Labels["apps.kubernetes.io/pod-index"] != fmt.Sprint(i) ||
			pod.Labels["statefulset.kubernetes.io/pod-name"] != pod.Name || pod.Labels["controller-revision-hash"] != first {
			t.Errorf("pod %d: %v, host %s, subdomain %s, labels %v", i, ok, pod.Spec.Hostname, pod.Spec.Subdomain, pod.Labels)
		}
	}
	setImage := func(name string) func(*appsv1.StatefulSet) {
		return func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = name }
	}
	for i := 2; i <= 5; i++ {
		edit(t, c, "default", "db", setImage(fmt.Sprint("example/image:", i)))
		settledSet(t, c, "db")
	}
	await.Until(t, soon, "old revisions beyond the limit are gone", func() bool {
		return len(list[*appsv1.ControllerRevision](t, c, "default", labelsOf("db"))) == 3
	})
	edit(t, c, "default", "db", setImage("example/image:4")) // as an undo does
	if set := settledSet(t, c, "db"); set.Status.CurrentRevision == first {
		t.Error("the set is at its first revision")
	}
	var most int64
	for _, r := range list[*appsv1.ControllerRevision](t, c, "default", labelsOf("db")) {
		most = max(most, r.Revision)
	}
	if most != 6 {
		t.Errorf("after five templates and an undo the newest revision is %d, want 6", most)
	}
	edit(t, c, "default", "db", func(set *appsv1.StatefulSet) { *set.Spec.Replicas = 1 })
	settledSet(t, c, "db")
	remove[*appsv1.StatefulSet](t, c, "default", "db", metav1.DeletePropagationForeground)
	gone[*appsv1.StatefulSet](t, c, "default", "db")
}

// TestStatefulSetClaims: each pod has its claim, made before it; the claims go
// with the set where the set says so.
func TestStatefulSetClaims(t *testing.T) {
	c := testkit.Start(t, testkit.Options{CheckMutation: true})
	create(t, c, statefulSet("db", 2, func(set *appsv1.StatefulSet) {
		set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		}
		set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
			ObjectMeta: metav1.ObjectMeta{Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}}
	}))
	await.Until(t, soon, "two pods and their claims are there", func() bool {
		return len(list[*corev1.Pod](t, c, "default", labelsOf("db"))) == 2 && len(list[*corev1.PersistentVolumeClaim](t, c, "default", labelsOf("db"))) == 2
	})
	pod, _ := get[*corev1.Pod](t, c, "default", "db-1")
	found := false
	for _, v := range pod.Spec.Volumes {
		found = found || v.Name == "data" && v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "data-db-1"
	}
	if !found {
		t.Errorf("volumes of db-1: %v", pod.Spec.Volumes)
	}
	await.Until(t, soon, "events tell of it", func() bool {
		got := map[string]bool{}
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			got[e.Reason+": "+e.Message] = true
		}
		return got["SuccessfulCreate: create Claim data-db-0 Pod db-0 in StatefulSet db success"] && got["SuccessfulCreate: create Pod db-0 in StatefulSet db successful"]
	})
	remove[*appsv1.StatefulSet](t, c, "default", "db", metav1.DeletePropagationBackground)
	gone[*corev1.PersistentVolumeClaim](t, c, "default", "data-db-0")
	gone[*corev1.PersistentVolumeClaim](t, c, "default", "data-db-1")
}
