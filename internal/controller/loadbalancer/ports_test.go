package loadbalancer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The host ports that keep a Service from its own are those that the proxy
// leads to pods: of containers and sidecars, not of what runs before them.
func TestHostPortsOfSidecarsCount(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	ports := func(n int32) []corev1.ContainerPort {
		return []corev1.ContainerPort{{Protocol: corev1.ProtocolTCP, HostPort: n}}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		NodeName:       "n1",
		InitContainers: []corev1.Container{{Ports: ports(8081)}, {Ports: ports(8082), RestartPolicy: &always}},
		Containers:     []corev1.Container{{Ports: ports(8083)}},
	}}
	if diff := cmp.Diff([]string{"TCP/8082", "TCP/8083"}, hostPortsOf(pod)); diff != "" {
		t.Error(diff)
	}
}

// The ports of Ingress are in use once there is an Ingress that the edge serves,
// however that names its class.
func TestIngressesThatUseTheirPorts(t *testing.T) {
	class := func(name, controller, byDefault string) *networkingv1.IngressClass {
		return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: byDefault}},
			Spec: networkingv1.IngressClassSpec{Controller: controller}}
	}
	ours, other := class("knarr", "knarr.io/ingress", "false"), class("nginx", "k8s.io/ingress-nginx", "true")
	byField := func(name string) *networkingv1.Ingress {
		return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: networkingv1.IngressSpec{IngressClassName: &name}}
	}
	byAnnotation := func(name string) *networkingv1.Ingress {
		return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", Annotations: map[string]string{"kubernetes.io/ingress.class": name}}}
	}
	unsaid := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
	for name, tc := range map[string]struct {
		ing   *networkingv1.Ingress
		class *networkingv1.IngressClass
		uses  bool
	}{
		"by the field": {byField("knarr"), ours, true}, "another by the field": {byField("nginx"), ours, false},
		"by the annotation": {byAnnotation("knarr"), ours, true}, "another by the annotation": {byAnnotation("nginx"), ours, false},
		"the default": {unsaid, class("knarr", "knarr.io/ingress", "true"), true}, "another is the default": {unsaid, ours, false},
	} {
		got := ingressOf("knarr.io/ingress", []*networkingv1.Ingress{tc.ing}, []*networkingv1.IngressClass{tc.class, other})
		if (got == "Ingress ns/web") != tc.uses {
			t.Errorf("%s: %q", name, got)
		}
	}
}
