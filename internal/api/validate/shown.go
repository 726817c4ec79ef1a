package validate

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Shown is a value as upstream's error texts show it: objects of k8s.io/api
// with Go's field names, every field present, since upstream prints its
// internal types, which carry no JSON names. Pass it as the bad value of a
// field error.
func Shown(v any) json.Marshaler { return shown{reflect.ValueOf(v)} }

type shown struct{ v reflect.Value }

// MarshalJSON implements json.Marshaler.
func (s shown) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := show(&b, s.v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func show(b *bytes.Buffer, v reflect.Value) error {
	switch {
	case !v.IsValid():
		b.WriteString("null")
		return nil
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		return show(b, v.Elem())
	case v.Type() == reflect.TypeFor[corev1.PodSpec]():
		return show(b, reflect.ValueOf(showPodSpec(v.Interface().(corev1.PodSpec))))
	case v.Kind() == reflect.Struct && plain(v.Type()):
		return showStruct(b, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		return showSlice(b, v)
	}
	return showJSON(b, v)
}

// plain tells whether the type is one whose JSON names upstream drops, or one
// of ours that stands for such a type.
func plain(t reflect.Type) bool {
	return strings.HasPrefix(t.PkgPath(), "k8s.io/api/") || strings.HasPrefix(t.PkgPath(), "github.com/knarr-io/knarr/")
}

func showJSON(b *bytes.Buffer, v reflect.Value) error {
	text, err := json.Marshal(v.Interface())
	b.Write(text)
	return err
}

func showSlice(b *bytes.Buffer, v reflect.Value) error {
	if v.IsNil() {
		b.WriteString("null")
		return nil
	}
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := show(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func showStruct(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	first := true
	err := showFields(b, v, &first)
	b.WriteByte('}')
	return err
}

// showFields writes the fields of a struct, those of embedded structs among
// them.
func showFields(b *bytes.Buffer, v reflect.Value, first *bool) error {
	for _, i := range fieldOrder(v.Type()) {
		f := v.Type().Field(i)
		var err error
		switch {
		case f.Type == reflect.TypeFor[*int32]() && v.Field(i).IsNil() && number(v.Type()):
			separate(b, first)
			b.WriteString(`"` + f.Name + `":0`)
		case f.Anonymous && plain(f.Type):
			err = showFields(b, v.Field(i), first)
		case f.Anonymous:
			err = showInline(b, v.Field(i), first)
		default:
			separate(b, first)
			b.WriteString(`"` + f.Name + `":`)
			err = show(b, v.Field(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// showInline writes the fields of an embedded struct that has JSON names.
func showInline(b *bytes.Buffer, v reflect.Value, first *bool) error {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return err
	}
	if inner := bytes.Trim(text, "{}"); len(inner) > 0 {
		separate(b, first)
		b.Write(text[1 : len(text)-1])
	}
	return nil
}

func separate(b *bytes.Buffer, first *bool) {
	if !*first {
		b.WriteByte(',')
	}
	*first = false
}
