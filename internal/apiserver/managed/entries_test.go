package managed

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestManagerName(t *testing.T) {
	for _, tt := range []struct{ asked, agent, want string }{
		{"me", "kubectl/v1.36", "me"},
		{"", "kubectl/v1.36 (linux)", "kubectl"},
		{"", "a\x01b", "ab"},
		{"", strings.Repeat("x", 200), strings.Repeat("x", 128)},
	} {
		if got := ManagerName(tt.asked, tt.agent); got != tt.want {
			t.Errorf("manager of %q, %q is %q", tt.asked, tt.agent, got)
		}
	}
}

func TestSameButTimes(t *testing.T) {
	now := metav1.Now()
	entry := metav1.ManagedFieldsEntry{Manager: "m", Operation: "Update", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:a":{}}`)}}
	later := entry
	later.Time = &now
	if !SameButTimes([]metav1.ManagedFieldsEntry{entry}, []metav1.ManagedFieldsEntry{later}) {
		t.Error("entries that differ in time only are told apart")
	}
	other := entry
	other.FieldsV1 = &metav1.FieldsV1{Raw: []byte(`{"f:b":{}}`)}
	if SameButTimes([]metav1.ManagedFieldsEntry{entry}, []metav1.ManagedFieldsEntry{other}) {
		t.Error("entries of different fields are taken as the same")
	}
}
