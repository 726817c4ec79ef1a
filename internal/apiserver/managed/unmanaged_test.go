package managed

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
)

// What is merged has no managed fields, and what is applied keeps those of others.
func TestApplyBesideOtherManagers(t *testing.T) {
	docs, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	fm, err := New(scheme, docs).Of(catalog.New().TypeOf(&corev1.ConfigMap{}), "")
	if err != nil {
		t.Fatal(err)
	}
	empty := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}}
	created := empty.DeepCopy()
	created.Name, created.UID, created.Data = "a", "1", map[string]string{"theirs": "1"}
	live := fm.UpdateNoErrors(empty, created, "creator").(*corev1.ConfigMap)
	before := live.DeepCopy()

	types, err := docs.TypeConverter(corev1.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := unmanaged{types}.ObjectToTyped(live)
	if err != nil {
		t.Fatal(err)
	}
	content := bare.AsValue().Unstructured().(map[string]any)
	if _, has, _ := unstructured.NestedFieldNoCopy(content, "metadata", "managedFields"); has || content["data"] == nil {
		t.Errorf("field managers see %v", content)
	}

	applied := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "a"}, "data": map[string]any{"ours": "2"}}}
	for _, turn := range []string{"first", "again"} {
		merged, err := fm.Apply(live, applied, "applier", false)
		if err != nil {
			t.Fatal(err)
		}
		next := merged.(*corev1.ConfigMap)
		if got := owned(next); !cmp.Equal(got, map[string]string{"applier": `{"f:data":{"f:ours":{}}}`, "creator": `{"f:data":{".":{},"f:theirs":{}}}`}) {
			t.Errorf("%s: %v", turn, got)
		}
		if diff := cmp.Diff(map[string]string{"theirs": "1", "ours": "2"}, next.Data); diff != "" {
			t.Errorf("%s: %s", turn, diff)
		}
		if diff := cmp.Diff(before, live); diff != "" {
			t.Errorf("%s: the object applied to has changed: %s", turn, diff)
		}
		live, before = next, next.DeepCopy()
	}
}

// owned is what each manager owns.
func owned(obj metav1.Object) map[string]string {
	out := map[string]string{}
	for _, entry := range obj.GetManagedFields() {
		out[entry.Manager] = string(entry.FieldsV1.Raw)
	}
	return out
}
