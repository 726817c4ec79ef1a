package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// TestBudgetOfPodsOfACustomResource: what a custom resource wants counts like
// what a Deployment does, where its definition has a scale.
func TestBudgetOfPodsOfACustomResource(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	open := true
	create(t, c, &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "herds.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "herds", Singular: "herd", Kind: "Herd", ListKind: "HerdList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &open}},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Scale: &apiextensionsv1.CustomResourceSubresourceScale{
					SpecReplicasPath: ".spec.replicas", StatusReplicasPath: ".status.replicas",
				}},
			}},
		},
	})
	gvk := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Herd"}
	await.Until(t, soon, "the kind is served", func() bool { return c.Catalog.Kind(gvk) != nil })
	herds := client.Of(c.Admin, c.Catalog.Kind(gvk))
	herd := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(2)}}}
	herd.SetGroupVersionKind(gvk)
	herd.SetNamespace("default")
	herd.SetName("h")
	made, err := herds.Create(t.Context(), herd)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		pod := podOf(name)
		pod.Labels, pod.OwnerReferences = labelsOf("herd"), []metav1.OwnerReference{*metav1.NewControllerRef(made, gvk)}
		create(t, c, pod)
	}
	most := intstr.FromInt32(1)
	create(t, c, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "herd"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: &most, Selector: &metav1.LabelSelector{MatchLabels: labelsOf("herd")},
	}})
	allowed := func(expected, n int32) func() bool {
		return func() bool {
			b, _ := get[*policyv1.PodDisruptionBudget](t, c, "default", "herd")
			return b.Status.ExpectedPods == expected && b.Status.DisruptionsAllowed == n
		}
	}
	await.Until(t, soon, "one of two may go", allowed(2, 1))
	for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("herd")) {
		if pod.Status.Phase != corev1.PodRunning {
			t.Errorf("%s is %s", pod.Name, pod.Status.Phase)
		}
	}
	more := made.DeepCopyObject().(*unstructured.Unstructured)
	more.Object["spec"] = map[string]any{"replicas": int64(3)}
	if _, err := herds.Update(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "none may go, since a third is wanted", allowed(3, 0))
}
