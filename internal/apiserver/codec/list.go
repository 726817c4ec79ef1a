package codec

import (
	"encoding/binary"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// List builds a list that says its kind from its items' bare forms, in JSON or
// protobuf. JSON ends with the line's end.
func List(gvk schema.GroupVersionKind, meta metav1.ListMeta, items [][]byte, format Format) (Body, error) {
	if format == Protobuf {
		m, err := meta.Marshal()
		return protobufList(gvk, m, items), err
	}
	m, err := json.Marshal(meta)
	return jsonList(gvk, m, items), err
}

func jsonList(gvk schema.GroupVersionKind, meta []byte, items [][]byte) Body {
	open := append(Head(gvk), `,"metadata":`...)
	open = append(open, meta...)
	open = append(open, `,"items":[`...)
	out := append(make(Body, 0, 2*len(items)+2), open)
	comma := []byte{','}
	for i, item := range items {
		if i > 0 {
			out = append(out, comma)
		}
		out = append(out, item)
	}
	return append(out, []byte("]}\n"))
}

// The fields of every typed list's protobuf message, with the wire type of
// length-delimited values.
const (
	listMetaTag  = 1<<3 | 2
	listItemsTag = 2<<3 | 2
)

func protobufList(gvk schema.GroupVersionKind, meta []byte, items [][]byte) Body {
	// Tag and length of a field take at most so much. All lie in one piece of
	// memory.
	const most = 1 + binary.MaxVarintLen32
	heads := make([]byte, 0, most*(len(items)+1))
	head := func(tag byte, value []byte) []byte {
		at := len(heads)
		heads = binary.AppendUvarint(append(heads, tag), uint64(len(value)))
		return heads[at:]
	}
	out := make(Body, 1, 2*len(items)+4) // the first piece tells the length of those behind it
	out = append(out, head(listMetaTag, meta), meta)
	for _, item := range items {
		out = append(out, head(listItemsTag, item), item)
	}
	out[0] = appendEnvelope(nil, gvk, out.Len())
	return append(out, []byte(envelopeEnd))
}
