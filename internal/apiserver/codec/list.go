package codec

import (
	"encoding/binary"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ListJSON builds a bare list in JSON from its items' bare forms.
func ListJSON(meta metav1.ListMeta, items [][]byte) ([]byte, error) {
	return listJSON([]byte{'{'}, meta, items)
}

// WholeListJSON builds a list that says its kind, with the line's end, in one
// piece: large lists are not copied once more.
func WholeListJSON(gvk schema.GroupVersionKind, meta metav1.ListMeta, items [][]byte) ([]byte, error) {
	out, err := listJSON(append(Head(gvk), ','), meta, items)
	return append(out, '\n'), err
}

func listJSON(open []byte, meta metav1.ListMeta, items [][]byte) ([]byte, error) {
	m, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	return joinList(open, m, items), nil
}

func joinList(open, meta []byte, items [][]byte) []byte {
	size := len(open) + len(meta) + 32
	for _, item := range items {
		size += len(item) + 1
	}
	out := make([]byte, 0, size)
	out = append(out, open...)
	out = append(out, `"metadata":`...)
	out = append(out, meta...)
	out = append(out, `,"items":[`...)
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, item...)
	}
	return append(out, `]}`...)
}

// The fields of every typed list's protobuf message, with the wire type of
// length-delimited values.
const (
	listMetaTag  = 1<<3 | 2
	listItemsTag = 2<<3 | 2
)

// ListProtobuf builds a bare list in protobuf from its items' bare forms.
func ListProtobuf(meta metav1.ListMeta, items [][]byte) ([]byte, error) {
	m, err := meta.Marshal()
	if err != nil {
		return nil, err
	}
	size := len(m) + 8
	for _, item := range items {
		size += len(item) + 8
	}
	out := appendDelimited(make([]byte, 0, size), listMetaTag, m)
	for _, item := range items {
		out = appendDelimited(out, listItemsTag, item)
	}
	return out, nil
}

func appendDelimited(dst []byte, tag byte, value []byte) []byte {
	dst = append(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}
