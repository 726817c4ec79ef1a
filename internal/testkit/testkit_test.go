package testkit

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}},
			},
		},
	}
}

func TestDeploymentRunsOnSimulatedNodes(t *testing.T) {
	c := Start(t, Options{Nodes: 3, CheckMutation: true, Verbose: testing.Verbose()})
	if _, err := client.For[*appsv1.Deployment](c.Admin).Create(t.Context(), deployment("web", 5)); err != nil {
		t.Fatal(err)
	}
	deployments := client.InformerFor[*appsv1.Deployment](c.Informers)
	await.Until(t, time.Minute, "five pods are available", func() bool {
		d, ok := deployments.Get("default", "web")
		return ok && d.Status.AvailableReplicas == 5
	})
}
