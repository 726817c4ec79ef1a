package catalog

import (
	"reflect"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// TestNoKindIsForgotten holds the catalogue against the stable groups of
// k8s.io/api: every type that is a kind is served, or is a body of a
// subresource, or stands below with the reason why not.
func TestNoKindIsForgotten(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, admissionregistrationv1.AddToScheme, appsv1.AddToScheme, authenticationv1.AddToScheme,
		authorizationv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		certificatesv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme,
		eventsv1.AddToScheme, flowcontrolv1.AddToScheme, imagepolicyv1alpha1.AddToScheme, networkingv1.AddToScheme,
		nodev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme, registrationv1.AddToScheme, resourcev1.AddToScheme,
		schedulingv1.AddToScheme, storagev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := New()
	elsewhere := bodies(c)
	for gvk, goType := range scheme.AllKnownTypes() {
		if c.Kind(gvk) != nil || elsewhere[gvk] || notServed(gvk) != "" || !isKind(goType) {
			continue
		}
		t.Errorf("%s is neither served nor excused", gvk)
	}
}

// bodies are the kinds that subresources take or give.
func bodies(c *Catalog) map[schema.GroupVersionKind]bool {
	out := map[schema.GroupVersionKind]bool{}
	for _, k := range c.Kinds() {
		for _, s := range k.Subresources {
			out[s.GVK] = true
		}
	}
	return out
}

// isKind leaves out lists, and the options and events that every group knows.
func isKind(goType reflect.Type) bool {
	if strings.HasPrefix(goType.PkgPath(), "k8s.io/apimachinery") {
		return false
	}
	_, isList := goType.FieldByName("Items")
	return !isList && !strings.HasSuffix(goType.Name(), "Options")
}

func notServed(gvk schema.GroupVersionKind) string {
	switch gvk.Group {
	case "admission.k8s.io", "imagepolicy.k8s.io":
		return "bodies of calls to webhooks"
	}
	switch gvk.Kind {
	case "RangeAllocation":
		return "upstream's own bookkeeping, never served"
	case "SerializedReference", "PodStatusResult":
		return "a value inside annotations and the kubelet API"
	}
	return ""
}
