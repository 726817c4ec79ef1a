package webhook

import (
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// FuzzAnswer: no answer of a webhook may panic, nor allow a write under
// another question's uid.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":true}}`), true)
	f.Add([]byte(`{"response":{"uid":"u","allowed":true,"patch":"W10=","patchType":"JSONPatch"}}`), false)
	f.Add([]byte(`{"response":{"allowed":true,"status":{"code":-1}}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, validates bool) {
		of := mutating
		if validates {
			of = validating
		}
		question := review{uid: "u", version: admissionv1.SchemeGroupVersion}
		got, err := question.verify(body, of)
		if err == nil && got.UID != "u" {
			t.Errorf("an answer to %q was taken", got.UID)
		}
		if err == nil && !got.Allowed {
			if no := rejection("hook", got.Result); no.status.ErrStatus.Code < 400 {
				t.Errorf("a refusal has the code %d", no.status.ErrStatus.Code)
			}
		}
	})
}

// FuzzPatch changes a write by whatever a webhook may answer as a patch: it
// must not panic, and what comes of it is still a ConfigMap, and untouched
// where the patch is refused.
func FuzzPatch(f *testing.F) {
	for _, patch := range []string{
		`[{"op":"add","path":"/data/b","value":"2"}]`, `[{"op":"replace","path":"/metadata/managedFields","value":[{"manager":1}]}]`,
		`[{"op":"copy","from":"","path":"/data/b"},{"op":"move","from":"/data","path":"/metadata/labels"}]`, `[{"op":"remove","path":""}]`,
		`[{"op":"replace","path":"","value":null}]`, `[{"op":"test","path":"/kind","value":"Pod"},null]`, `[{"op":"replace","path":"/kind","value":"Pod"}]`,
		`[{"op":"add","path":"/immutable","value":1e99},{"op":"add","path":"/data/-1","value":[[]]}]`, `{}`, `null`,
	} {
		f.Add([]byte(patch))
	}
	k := catalog.New().TypeOf(&corev1.ConfigMap{})
	byOperations := admissionv1.PatchTypeJSONPatch
	f.Fuzz(func(t *testing.T, patch []byte) {
		obj := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "m", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:data":{}}`)}}}},
			Data: map[string]string{"a": "1"}}
		a := &admission.Attributes{Operation: admission.Create, Kind: k, Namespace: "default", Name: "a", Object: obj, Warn: func(string) {}}
		shape, err := admission.NewShapes(t.Context(), a).In(k)
		if err != nil {
			t.Fatal(err)
		}
		before := obj.DeepCopy()
		changed, err := apply(t.Context(), &hook{name: "h"}, a, k, shape, &admissionv1.AdmissionResponse{Allowed: true, Patch: patch, PatchType: &byOperations}, "round_0_index_0")
		if err != nil && (changed || !equality.Semantic.DeepEqual(before, obj)) {
			t.Errorf("%s is refused with %v, and yet the object is %+v", patch, err, obj)
		}
		if obj.GroupVersionKind() != k.GVK {
			t.Errorf("%s makes a %s of it", patch, obj.GroupVersionKind())
		}
	})
}
