package crd

import (
	"strings"
	"testing"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FuzzConversion gives the server what a conversion webhook may answer, as a
// whole and as the one object in it: nothing of it may panic, and what is taken
// is the object that was asked about, in the version that was asked for.
func FuzzConversion(f *testing.F) {
	const review = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","response":{"uid":"u","result":{"status":"Success"},"convertedObjects":[%s]}}`
	for _, object := range []string{
		`{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"a","uid":"1","labels":{"x":"y"}},"spec":{"size":1,"other":2}}`,
		`{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"a","uid":"1","annotations":{"x":5}},"spec":[]}`,
		`{"apiVersion":"example.com/v1","kind":"BoatList","metadata":{},"items":[{"kind":"Boat"}]}`,
		`{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"b","uid":"1"}}`,
		`{"apiVersion":"example.com/v1","kind":"Boat","metadata":null,"status":{"a":{"b":[null,1e400,-0]}}}`,
		`null`, `[]`, `"text"`,
	} {
		f.Add([]byte(object))
		f.Add([]byte(strings.Replace(review, "%s", object, 1)))
	}
	d := boats([]byte(`{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer","default":3}}},` +
		`"status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}`))
	asked := &v1.ConversionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "ConversionReview"}, Request: &v1.ConversionRequest{UID: "u"},
	}
	was := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v2", "kind": "Boat",
		"metadata": map[string]any{"name": "a", "uid": "1", "resourceVersion": "5", "labels": map[string]any{"old": "yes"}, "finalizers": []any{"example.com/hold"}}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		raws := [][]byte{body}
		if objects, err := readReview(body, asked); err == nil {
			for _, o := range objects {
				raws = append(raws, o.Raw)
			}
		}
		for _, raw := range raws {
			got, err := accept(was, raw, d.storage)
			if err != nil {
				continue
			}
			if got.GroupVersionKind() != d.storage.gvk || got.GetName() != "a" || got.GetUID() != "1" || got.GetResourceVersion() != "5" || len(got.GetFinalizers()) != 1 {
				t.Errorf("of %s is taken: %v", raw, got.Object)
			}
			d.storage.setDefaults(got)
			d.storage.validate(got)
			if _, err := got.MarshalJSON(); err != nil {
				t.Errorf("of %s is taken what cannot be stored: %v", raw, err)
			}
		}
	})
}
