package cache

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// owned is a ConfigMap whose manager owns the fields.
func owned(name, fields string) *corev1.ConfigMap {
	m := configMap("ns", name, "")
	m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m", Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: "FieldsV1",
		FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}}
	return m
}

func TestEqualFieldSetsAreShared(t *testing.T) {
	f := newFixture(t, Options{})
	set := func(name, fields string) *metav1.FieldsV1 {
		return f.create(f.configMaps(), owned(name, fields)).Object.GetManagedFields()[0].FieldsV1
	}
	first := set("a", `{"f:data":{}}`)
	if set("b", `{"f:data":{}}`) != first {
		t.Error("two objects of equal field sets hold two of them")
	}
	if other := set("c", `{"f:metadata":{}}`); other == first || string(other.Raw) != `{"f:metadata":{}}` {
		t.Errorf("another field set is %s", other.Raw)
	}
	large := fmt.Sprintf(`{"f:%s":{}}`, strings.Repeat("x", largestShared))
	if set("d", large) == set("e", large) {
		t.Error("a field set above the bound is kept for others")
	}
}
