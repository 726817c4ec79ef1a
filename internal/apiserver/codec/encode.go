package codec

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// protobufMagic starts every protobuf answer.
var protobufMagic = []byte{'k', '8', 's', 0}

// Marshaler is what types with a protobuf form have.
type Marshaler interface {
	Marshal() ([]byte, error)
	Size() int
}

// NotMarshalable is the error of a type that has no protobuf form.
type NotMarshalable struct{ Type string }

func (e *NotMarshalable) Error() string {
	return fmt.Sprintf("object %s does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message", e.Type)
}

// Bare encodes an object without kind and apiVersion in front: the form that
// list items have, and that Wrap completes. The object is not changed. The
// bytes of YAML are those of JSON until Wrap.
func Bare(obj runtime.Object, format Format) ([]byte, error) {
	if format != Protobuf {
		var buf bytes.Buffer
		if err := json.NewEncoder(&buf).Encode(obj); err != nil {
			return nil, err
		}
		return stripTypeMeta(bytes.TrimRight(buf.Bytes(), "\n")), nil
	}
	m, ok := obj.(Marshaler)
	if !ok {
		return nil, &NotMarshalable{Type: fmt.Sprintf("%T", obj)}
	}
	return m.Marshal()
}

// stripTypeMeta cuts the kind and apiVersion that a typed object's JSON starts
// with. Custom resources, whose fields are sorted, keep theirs.
func stripTypeMeta(whole []byte) []byte {
	rest, ok := bytes.CutPrefix(whole, []byte(`{"kind":"`))
	if !ok {
		return whole
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return whole
	}
	rest, ok = bytes.CutPrefix(rest[end:], []byte(`","apiVersion":"`))
	if !ok {
		return whole
	}
	end = bytes.IndexByte(rest, '"')
	if end < 0 || end+1 >= len(rest) {
		return whole
	}
	rest = rest[end+1:]
	if rest[0] == ',' {
		rest = rest[1:]
	}
	at := len(whole) - len(rest) - 1
	whole[at] = '{'
	return whole[at:]
}

// Head is what stands in front of an object's bare JSON, so that it says its
// kind. The bare form's opening brace is part of the head.
func Head(gvk schema.GroupVersionKind) []byte {
	version, _ := json.Marshal(gvk.GroupVersion().String())
	kind, _ := json.Marshal(gvk.Kind)
	return fmt.Appendf(nil, `{"kind":%s,"apiVersion":%s`, kind, version)
}

// AppendJSON appends an object in JSON, made of its bare form.
func AppendJSON(dst, bare, head []byte) []byte {
	if len(bare) < 2 || bare[0] != '{' || hasTypeMeta(bare) {
		return append(dst, bare...)
	}
	dst = append(dst, head...)
	if bare[1] != '}' {
		dst = append(dst, ',')
	}
	return append(dst, bare[1:]...)
}

func hasTypeMeta(bare []byte) bool {
	return bytes.HasPrefix(bare, []byte(`{"kind":`)) || bytes.HasPrefix(bare, []byte(`{"apiVersion":`))
}

// AppendProtobuf appends an object in its protobuf envelope.
func AppendProtobuf(dst, bare []byte, gvk schema.GroupVersionKind) ([]byte, error) {
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind}, Raw: bare}
	envelope, err := unknown.Marshal()
	if err != nil {
		return nil, err
	}
	dst = append(dst, protobufMagic...)
	return append(dst, envelope...), nil
}

// Wrap completes a bare encoding to a whole answer in the format. pretty
// indents JSON.
func Wrap(bare []byte, format Format, gvk schema.GroupVersionKind, pretty bool) ([]byte, error) {
	switch format {
	case Protobuf:
		return AppendProtobuf(make([]byte, 0, len(bare)+64), bare, gvk)
	case YAML:
		return yaml.JSONToYAML(AppendJSON(nil, bare, Head(gvk)))
	}
	whole := AppendJSON(make([]byte, 0, len(bare)+96), bare, Head(gvk))
	if !pretty {
		return append(whole, '\n'), nil
	}
	var buf bytes.Buffer
	if err := json.Indent(&buf, whole, "", "  "); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Encode gives a whole object in the format, named as gvk.
func Encode(obj runtime.Object, gvk schema.GroupVersionKind, format Format, pretty bool) ([]byte, error) {
	bare, err := Bare(obj, format)
	if err != nil {
		return nil, err
	}
	return Wrap(bare, format, gvk, pretty)
}

// Plain is an object in JSON as it is, with the kind that it carries.
func Plain(obj runtime.Object) ([]byte, error) { return json.Marshal(obj) }
