package crd

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// accept reads an object that a webhook converted. A webhook may change
// everything but the object's identity and the metadata that the server keeps:
// of the metadata only labels and annotations are taken from it.
func accept(was *unstructured.Unstructured, raw []byte, to *versioned) (*unstructured.Unstructured, error) {
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if have, want := out.GroupVersionKind().GroupVersion(), to.gvk.GroupVersion(); have != want {
		return nil, fmt.Errorf("invalid groupVersion (expected %v, received %v)", want, have)
	}
	if have, want := out.GetKind(), was.GetKind(); have != want {
		return nil, fmt.Errorf("invalid kind (expected %v, received %v)", want, have)
	}
	for _, same := range []struct{ what, want, have string }{
		{"name", was.GetName(), out.GetName()},
		{"namespace", was.GetNamespace(), out.GetNamespace()},
		{"UID", string(was.GetUID()), string(out.GetUID())},
	} {
		if same.want != same.have {
			return nil, fmt.Errorf("must have the same %s: %v != %v", same.what, same.want, same.have)
		}
	}
	if err := keepMetadata(was, out); err != nil {
		return nil, err
	}
	_, err := to.coerce(out, coercion{})
	return out, err
}

// keepMetadata puts the old metadata back, with the new labels and annotations.
func keepMetadata(was, out *unstructured.Unstructured) error {
	answered, ok := out.Object["metadata"].(map[string]any)
	if !ok {
		return errors.New("missing or invalid metadata in converted object")
	}
	kept := map[string]any{}
	if had, ok := was.Object["metadata"].(map[string]any); ok {
		kept = runtime.DeepCopyJSON(had)
	}
	for _, name := range []string{"labels", "annotations"} {
		if answered[name] == nil {
			delete(kept, name)
			continue
		}
		texts, err := checkTexts(name, answered[name])
		if err != nil {
			return err
		}
		kept[name] = texts
	}
	out.Object["metadata"] = kept
	return nil
}

func checkTexts(name string, value any) (map[string]any, error) {
	texts, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("invalid metadata.%s of type %T in converted object", name, value)
	}
	typed := make(map[string]string, len(texts))
	for k, v := range texts {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("metadata.%s[%s] must be a string, but is %T in converted object", name, k, v)
		}
		typed[k] = text
	}
	var errs field.ErrorList
	if name == "labels" {
		errs = validate.Labels(typed, field.NewPath("metadata", "labels"))
	} else {
		errs = validate.Annotations(typed, field.NewPath("metadata", "annotation"))
	}
	return texts, errs.ToAggregate()
}
