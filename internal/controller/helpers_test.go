package controller_test

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const soon = time.Minute

func labelsOf(app string) map[string]string { return map[string]string{"app": app} }

func deployment(name string, replicas int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labelsOf(name)},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labelsOf(name)},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}},
			},
		},
	}
	for _, fn := range change {
		fn(d)
	}
	return d
}

func create[T api.Object](t *testing.T, c *testkit.Cluster, obj T) T {
	t.Helper()
	out, err := client.For[T](c.Admin).Create(t.Context(), obj)
	if err != nil {
		t.Fatalf("creating %s: %v", obj.GetName(), err)
	}
	return out
}

// edit changes an object as a user would, trying again on conflicts.
func edit[T api.Object](t *testing.T, c *testkit.Cluster, namespace, name string, fn func(T)) T {
	t.Helper()
	return change(t, c, namespace, name, fn, client.For[T](c.Admin).Update)
}

// editStatus is edit of an object's status.
func editStatus[T api.Object](t *testing.T, c *testkit.Cluster, namespace, name string, fn func(T)) T {
	t.Helper()
	return change(t, c, namespace, name, fn, client.For[T](c.Admin).UpdateStatus)
}

func change[T api.Object](t *testing.T, c *testkit.Cluster, namespace, name string, fn func(T), write func(context.Context, T) (T, error)) T {
	t.Helper()
	for {
		have, err := client.For[T](c.Admin).Get(t.Context(), namespace, name)
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		changed := have.DeepCopyObject().(T)
		fn(changed)
		out, err := write(t.Context(), changed)
		if err == nil {
			return out
		}
		if !isConflict(err) {
			t.Fatalf("updating %s: %v", name, err)
		}
	}
}

func get[T api.Object](t *testing.T, c *testkit.Cluster, namespace, name string) (T, bool) {
	t.Helper()
	out, err := client.For[T](c.Admin).Get(t.Context(), namespace, name)
	if err != nil && !isNotFound(err) {
		t.Fatalf("reading %s: %v", name, err)
	}
	return out, err == nil
}

func list[T api.Object](t *testing.T, c *testkit.Cluster, namespace string, selector map[string]string) []T {
	t.Helper()
	out, _, err := client.For[T](c.Admin).List(t.Context(), namespace, metav1.ListOptions{LabelSelector: labels.Set(selector).String()})
	if err != nil {
		t.Fatal("listing: ", err)
	}
	return out
}

func remove[T api.Object](t *testing.T, c *testkit.Cluster, namespace, name string, policy metav1.DeletionPropagation) {
	t.Helper()
	if err := client.For[T](c.Admin).Delete(t.Context(), namespace, name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatalf("deleting %s: %v", name, err)
	}
}

// gone waits until an object is not there any more.
func gone[T api.Object](t *testing.T, c *testkit.Cluster, namespace, name string) {
	t.Helper()
	await.Until(t, soon, name+" is gone", func() bool {
		_, there := get[T](t, c, namespace, name)
		return !there
	})
}

// rolledOut waits until a Deployment is complete.
func rolledOut(t *testing.T, c *testkit.Cluster, name string) *appsv1.Deployment {
	t.Helper()
	var last *appsv1.Deployment
	await.Until(t, soon, "deployment "+name+" is rolled out", func() bool {
		d, ok := get[*appsv1.Deployment](t, c, "default", name)
		last = d
		return ok && d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == *d.Spec.Replicas &&
			d.Status.Replicas == *d.Spec.Replicas && d.Status.AvailableReplicas == *d.Spec.Replicas
	})
	return last
}
