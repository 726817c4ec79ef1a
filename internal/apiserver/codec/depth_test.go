package codec

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

// nested is a message of so many levels, inside out.
func nested(levels int, around func([]byte) []byte) []byte {
	// Built from the end: prepending would cost the square of the levels.
	var reversed []byte
	size := 0
	for range levels {
		head := around(protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.BytesType), uint64(size)))
		for i := range head {
			reversed = append(reversed, head[len(head)-1-i])
		}
		size += len(head)
	}
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return reversed
}

func TestDepthOfProtobuf(t *testing.T) {
	plain := func(head []byte) []byte { return head }
	afterGroup := func(head []byte) []byte {
		return append(protowire.AppendTag(protowire.AppendTag(nil, 9, protowire.StartGroupType), 9, protowire.EndGroupType), head...)
	}
	afterNumber := func(head []byte) []byte {
		return append(protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1<<40), head...)
	}
	// A tag whose number is field 5 once 32 bits are dropped, and a length with
	// bits beyond the 64th: generated decoders take both.
	wideTag := func(head []byte) []byte {
		_, _, n := protowire.ConsumeTag(head)
		return append(protowire.AppendVarint(nil, (1<<32+5)<<3|uint64(protowire.BytesType)), head[n:]...)
	}
	longLength := func(head []byte) []byte {
		_, _, n := protowire.ConsumeTag(head)
		size, _ := protowire.ConsumeVarint(head[n:])
		out := append([]byte(nil), head[:n]...)
		for range 9 {
			out, size = append(out, byte(size)|0x80), size>>7
		}
		return append(out, 2)
	}
	object, err := (&corev1.ConfigMap{BinaryData: map[string][]byte{"a": bytes.Repeat([]byte{0x2a, 0xff, 3}, limits.Depth)}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body []byte
		want error
	}{
		"deep":                        {nested(limits.Depth+1, plain), errTooDeep},
		"very deep":                   {nested(500_000, plain), errTooDeep},
		"deep behind groups":          {nested(limits.Depth+1, afterGroup), errTooDeep},
		"deep behind numbers":         {nested(limits.Depth+1, afterNumber), errTooDeep},
		"deep by wide tags":           {nested(limits.Depth+1, wideTag), errTooDeep},
		"deep by long lengths":        {nested(limits.Depth+1, longLength), errTooDeep},
		"deep before garbage":         {append(nested(limits.Depth+1, plain), 0xff, 0xff), errTooDeep},
		"not too deep":                {nested(limits.Depth-1, afterNumber), nil},
		"flat and long":               {bytes.Repeat([]byte{0x2a, 0}, limits.Depth), nil},
		"an object":                   {object, nil},
		"garbage":                     {bytes.Repeat([]byte{0xff}, 3*limits.Depth), nil},
		"a length beyond the message": {append(bytes.Repeat([]byte{0x2a, 0}, limits.Depth), 0x2a, 0xff, 0x7f), nil},
	} {
		if got := checkDepth(append([]byte("k8s\x00"), tt.body...)); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestDeepProtobufIsRefused(t *testing.T) {
	c := New(catalog.New())
	gvk := schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	if _, err := c.Decode(append([]byte("k8s\x00"), nested(limits.Depth+1, func(b []byte) []byte { return b })...), Protobuf, gvk, true); err == nil {
		t.Error("it was taken")
	}
}
