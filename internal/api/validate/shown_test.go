package validate

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestShown(t *testing.T) {
	yes := true
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"nothing", (*corev1.Taint)(nil), `null`},
		{"every field", &corev1.Toleration{Key: "a"}, `{"Key":"a","Operator":"","Value":"","Effect":"","TolerationSeconds":null}`},
		{"embedded struct", &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k", Optional: &yes},
			`{"Name":"s","Key":"k","Optional":true}`},
		{"slices of structs", &corev1.Capabilities{Add: []corev1.Capability{"A"}}, `{"Add":["A"],"Drop":null}`},
		{"types that print themselves", &corev1.ServicePort{TargetPort: intstr.FromString("web")},
			`{"Name":"","Protocol":"","AppProtocol":null,"Port":0,"TargetPort":"web","NodePort":0}`},
		{"quantities", &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1500m")}},
			`{"Limits":{"cpu":"1500m"},"Requests":null,"Claims":null}`},
		{"types with JSON names of their own", &corev1.PersistentVolumeClaimSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
			`{"AccessModes":null,"Selector":{"matchLabels":{"a":"b"}},"Resources":{"Limits":null,"Requests":null},` +
				`"VolumeName":"","StorageClassName":null,"VolumeMode":null,"DataSource":null,"DataSourceRef":null,"VolumeAttributesClassName":null}`},
		{"embedded metadata", &corev1.PersistentVolumeClaimTemplate{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}},
			`{"labels":{"a":"b"},"Spec":{"AccessModes":null,"Selector":null,"Resources":{"Limits":null,"Requests":null},` +
				`"VolumeName":"","StorageClassName":null,"VolumeMode":null,"DataSource":null,"DataSourceRef":null,"VolumeAttributesClassName":null}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(Shown(tt.value))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

// TestShownPodSpec holds the layout: namespaces stand with the security
// context, and the second name of the service account is left out.
func TestShownPodSpec(t *testing.T) {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostPID: true, ServiceAccountName: "a", DeprecatedServiceAccount: "a"}}
	text, err := json.Marshal(Shown(&template))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Spec map[string]any
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.Spec["HostPID"]; ok {
		t.Error("HostPID stands with the spec")
	}
	if security, _ := got.Spec["SecurityContext"].(map[string]any); security["HostPID"] != true {
		t.Errorf("SecurityContext is %v", security)
	}
	if _, ok := got.Spec["DeprecatedServiceAccount"]; ok {
		t.Error("the second name of the service account is shown")
	}
}
