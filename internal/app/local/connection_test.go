package local

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Service that is another name of a host has no ports to look for.
func TestExternalNamesAreNoDestination(t *testing.T) {
	m := &networkMap{services: []*corev1.Service{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.com"},
	}}}
	to, err := parseDestination("default", "db:5432")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.ends(to, &Connection{}); err == nil || !strings.Contains(err.Error(), "is another name of db.example.com") {
		t.Errorf("got %v", err)
	}
}
