package controller_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func image(name string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = name }
}

func condition(d *appsv1.Deployment, typ appsv1.DeploymentConditionType) string {
	for _, c := range d.Status.Conditions {
		if c.Type == typ {
			return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
	}
	return ""
}

func TestDeploymentLife(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	create(t, c, deployment("web", 3))
	d := rolledOut(t, c, "web")
	first := list[*appsv1.ReplicaSet](t, c, "default", labelsOf("web"))[0]
	want := fmt.Sprintf("True NewReplicaSetAvailable: ReplicaSet %q has successfully progressed.", first.Name)
	await.Until(t, soon, "progress is reported", func() bool {
		d, _ = get[*appsv1.Deployment](t, c, "default", "web")
		return condition(d, appsv1.DeploymentProgressing) == want
	})
	if got := condition(d, appsv1.DeploymentAvailable); got != "True MinimumReplicasAvailable: Deployment has minimum availability." {
		t.Errorf("Available: %s", got)
	}
	if d.Annotations["deployment.kubernetes.io/revision"] != "1" {
		t.Errorf("annotations: %v", d.Annotations)
	}

	edit(t, c, "default", "web", image("example/image:2"))
	d = rolledOut(t, c, "web")
	if d.Annotations["deployment.kubernetes.io/revision"] != "2" {
		t.Errorf("after the update: %v", d.Annotations)
	}

	// Undo, as kubectl does it: the old template comes back under a new revision.
	edit(t, c, "default", "web", image("example/image:1"))
	d = rolledOut(t, c, "web")
	if d.Annotations["deployment.kubernetes.io/revision"] != "3" {
		t.Errorf("after the undo: %v", d.Annotations)
	}
	back, _ := get[*appsv1.ReplicaSet](t, c, "default", first.Name)
	if got := back.Annotations["deployment.kubernetes.io/revision-history"]; got != "1" {
		t.Errorf("revision history %q", got)
	}
	if n := len(list[*appsv1.ReplicaSet](t, c, "default", labelsOf("web"))); n != 2 {
		t.Errorf("%d replica sets", n)
	}
}

func TestDeploymentScalesAndTellsSo(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	create(t, c, deployment("web", 3))
	rolledOut(t, c, "web")
	edit(t, c, "default", "web", func(d *appsv1.Deployment) { *d.Spec.Replicas = 5 })
	rolledOut(t, c, "web")
	edit(t, c, "default", "web", func(d *appsv1.Deployment) { *d.Spec.Replicas = 1 })
	rolledOut(t, c, "web")
	rs := list[*appsv1.ReplicaSet](t, c, "default", labelsOf("web"))[0].Name
	want := map[string]bool{
		"Scaled up replica set " + rs + " from 0 to 3":   true,
		"Scaled up replica set " + rs + " from 3 to 5":   true,
		"Scaled down replica set " + rs + " from 5 to 1": true,
	}
	await.Until(t, soon, "events tell of it", func() bool {
		got := map[string]bool{}
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "ScalingReplicaSet" && e.Source.Component == "deployment-controller" {
				got[e.Message] = true
			}
		}
		return cmp.Equal(want, got)
	})
}

func TestPausedDeploymentScalesButDoesNotRollOut(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2})
	create(t, c, deployment("web", 2))
	rolledOut(t, c, "web")
	edit(t, c, "default", "web", func(d *appsv1.Deployment) {
		d.Spec.Paused = true
		*d.Spec.Replicas = 4
		image("example/image:2")(d)
	})
	await.Until(t, soon, "the old set grew", func() bool {
		d, _ := get[*appsv1.Deployment](t, c, "default", "web")
		return d.Status.AvailableReplicas == 4 && d.Status.UpdatedReplicas == 0 &&
			strings.HasPrefix(condition(d, appsv1.DeploymentProgressing), "Unknown DeploymentPaused")
	})
	if n := len(list[*appsv1.ReplicaSet](t, c, "default", labelsOf("web"))); n != 1 {
		t.Fatalf("%d replica sets while paused", n)
	}
	edit(t, c, "default", "web", func(d *appsv1.Deployment) { d.Spec.Paused = false })
	rolledOut(t, c, "web")
}

func TestRecreateStopsTheOldFirst(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2})
	recreate := func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	var mu sync.Mutex
	there, born, together := map[types.UID]string{}, map[string]int{}, 0 // guarded by mu
	client.InformerFor[*corev1.Pod](c.Informers).OnChange(func(old, new *corev1.Pod) {
		mu.Lock()
		defer mu.Unlock()
		if new == nil {
			delete(there, old.UID)
			return
		}
		image := new.Spec.Containers[0].Image
		if old == nil {
			born[image]++
		}
		there[new.UID] = image
		for _, other := range there {
			if other != image {
				together++
			}
		}
	})
	create(t, c, deployment("web", 3, recreate))
	first := rolledOut(t, c, "web").Spec.Template.Spec.Containers[0].Image
	edit(t, c, "default", "web", image("example/image:2"))
	rolledOut(t, c, "web")
	for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("web")) {
		if pod.Spec.Containers[0].Image != "example/image:2" {
			t.Errorf("%s runs %s", pod.Name, pod.Spec.Containers[0].Image)
		}
	}
	await.Until(t, soon, "all pods were seen", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return born[first] == 3 && born["example/image:2"] == 3
	})
	mu.Lock()
	defer mu.Unlock()
	if together != 0 {
		t.Errorf("old and new pods were there together, %d times", together)
	}
}

func TestStuckRolloutKeepsServingAndSaysSo(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2})
	create(t, c, deployment("web", 4, func(d *appsv1.Deployment) {
		deadline := int32(1)
		d.Spec.ProgressDeadlineSeconds = &deadline
	}))
	rolledOut(t, c, "web")
	edit(t, c, "default", "web", func(d *appsv1.Deployment) {
		image("example/image:2")(d)
		d.Spec.Template.Annotations = map[string]string{simulated.Hold: "yes"}
	})
	// On a busy machine the deadline may pass before, too.
	await.Success(t, soon, "stuck with 3 available and 2 new pods (25% each way of 4), the deadline passes", func() error {
		d, _ := get[*appsv1.Deployment](t, c, "default", "web")
		if !strings.HasPrefix(condition(d, appsv1.DeploymentProgressing), "False ProgressDeadlineExceeded: ReplicaSet ") ||
			d.Status.AvailableReplicas != 3 || d.Status.UpdatedReplicas != 2 {
			return fmt.Errorf("the status is %+v", d.Status)
		}
		return nil
	})
}

func TestReplicaSetAdoptsAndReleases(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	orphan := create(t, c, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orphan", Labels: labelsOf("web")},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}},
	})
	// A controller that does not know it yet would make two.
	await.Until(t, soon, "the orphan is ready", func() bool {
		pod, _ := get[*corev1.Pod](t, c, "default", orphan.Name)
		return healthy(pod) == 1
	})
	two := int32(2)
	create(t, c, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labelsOf("web")}, Template: deployment("web", 1).Spec.Template},
	})
	ready := func(n int32) func() bool {
		return func() bool {
			rs, _ := get[*appsv1.ReplicaSet](t, c, "default", "web")
			return rs.Status.ReadyReplicas == n && rs.Status.Replicas == n
		}
	}
	await.Until(t, soon, "two pods are ready", ready(2))
	pod, _ := get[*corev1.Pod](t, c, "default", orphan.Name)
	if ref := metav1.GetControllerOf(pod); ref == nil || ref.Name != "web" {
		t.Fatalf("the orphan was not adopted: %v", pod.OwnerReferences)
	}
	edit(t, c, "default", orphan.Name, func(p *corev1.Pod) { p.Labels = labelsOf("debug") })
	await.Until(t, soon, "the relabelled pod is let go and replaced", func() bool {
		pod, _ := get[*corev1.Pod](t, c, "default", orphan.Name)
		return metav1.GetControllerOf(pod) == nil && len(list[*corev1.Pod](t, c, "default", labelsOf("web"))) == 2
	})
}
