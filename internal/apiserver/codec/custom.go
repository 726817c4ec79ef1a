package codec

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"

	"github.com/knarr-io/knarr/internal/api"
)

// customDecoders read custom resources in JSON and YAML.
func customDecoders() map[decoderKey]runtime.Decoder {
	out := map[decoderKey]runtime.Decoder{}
	creator, typer := unstructuredscheme.NewUnstructuredCreator(), unstructuredscheme.NewUnstructuredObjectTyper()
	for _, strict := range []bool{false, true} {
		for _, format := range []Format{JSON, YAML} {
			out[decoderKey{format, strict}] = serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, creator, typer,
				serializer.SerializerOptions{Yaml: format == YAML, Strict: strict})
		}
	}
	return out
}

// decodeCustom is Decode for a custom resource. An object of another kind is
// given as it is: validation refuses it.
func (c *Codec) decodeCustom(k *api.Kind, body []byte, format Format, strict bool) (Decoded, error) {
	want := k.GVK
	decoder := c.custom[decoderKey{format, strict}]
	if decoder == nil {
		err := &NotMarshalable{Type: fmt.Sprintf("%T", &unstructured.Unstructured{})}
		return Decoded{GVK: want, Cause: err}, unreadable(err, nil, want.Kind, body)
	}
	obj, got, err := decoder.Decode(body, &want, k.New())
	out := Decoded{Object: obj, GVK: want}
	if got != nil {
		out.GVK = *got
	}
	if loose, ok := runtime.AsStrictDecodingError(err); ok && obj != nil {
		out.Loose, err = loose.Errors(), nil
	}
	u, isUnstructured := obj.(*unstructured.Unstructured)
	if err == nil && !isUnstructured {
		err = fmt.Errorf("the body is a %T", obj) // a list
	}
	var unknown []string
	if err == nil && u.GroupVersionKind() == want {
		unknown, err = k.Custom.Coerce(u, strict)
	}
	if err != nil {
		out.Cause = err
		return out, unreadable(err, got, want.Kind, body)
	}
	for _, path := range unknown {
		out.Loose = append(out.Loose, fmt.Errorf("unknown field %q", path))
	}
	return out, nil
}

// CustomList builds a list of custom resources in JSON. It says that it does not
// continue, where typed lists leave that out.
func CustomList(gvk schema.GroupVersionKind, meta metav1.ListMeta, items [][]byte) (Body, error) {
	m, err := json.Marshal(struct {
		Continue           string `json:"continue"`
		RemainingItemCount *int64 `json:"remainingItemCount,omitempty"`
		ResourceVersion    string `json:"resourceVersion"`
	}{meta.Continue, meta.RemainingItemCount, meta.ResourceVersion})
	return jsonList(gvk, m, items), err
}
