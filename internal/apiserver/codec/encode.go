package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
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
		whole, err := api.JSON(obj)
		return stripTypeMeta(whole), err
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
// kind. The bare form's opening brace is part of the head. Names of groups,
// versions and kinds are ASCII: quoted for Go, they are for JSON.
func Head(gvk schema.GroupVersionKind) []byte {
	out := make([]byte, 0, headRoom)
	out = append(out, `{"kind":`...)
	out = strconv.AppendQuote(out, gvk.Kind)
	out = append(out, `,"apiVersion":`...)
	return strconv.AppendQuote(out, gvk.GroupVersion().String())
}

// headRoom is what most heads fit into, in bytes.
const headRoom = 96

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
func AppendProtobuf(dst, bare []byte, gvk schema.GroupVersionKind) []byte {
	dst = append(appendEnvelope(dst, gvk, len(bare)), bare...)
	return append(dst, envelopeEnd...)
}

// appendEnvelope appends what stands before an object of so many bytes: the
// beginning of a runtime.Unknown, whose field 1 is the kind and field 2 the
// object.
func appendEnvelope(dst []byte, gvk schema.GroupVersionKind, size int) []byte {
	version := gvk.GroupVersion().String()
	dst = append(dst, protobufMagic...)
	dst = protowire.AppendTag(dst, 1, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(2+protowire.SizeBytes(len(version))+protowire.SizeBytes(len(gvk.Kind))))
	dst = protowire.AppendString(protowire.AppendTag(dst, 1, protowire.BytesType), version)
	dst = protowire.AppendString(protowire.AppendTag(dst, 2, protowire.BytesType), gvk.Kind)
	dst = protowire.AppendTag(dst, 2, protowire.BytesType)
	return protowire.AppendVarint(dst, uint64(size))
}

// envelopeEnd are a runtime.Unknown's fields 3 and 4, which are empty.
const envelopeEnd = "\x1a\x00\x22\x00"

// Wrap completes a bare encoding to a whole answer in the format. pretty
// indents JSON.
func Wrap(bare []byte, format Format, gvk schema.GroupVersionKind, pretty bool) ([]byte, error) {
	switch format {
	case Protobuf:
		return AppendProtobuf(make([]byte, 0, len(bare)+headRoom), bare, gvk), nil
	case YAML:
		return yaml.JSONToYAML(AppendJSON(nil, bare, Head(gvk)))
	}
	whole := AppendJSON(make([]byte, 0, len(bare)+headRoom), bare, Head(gvk))
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
func Plain(obj runtime.Object) ([]byte, error) { return api.JSON(obj) }
