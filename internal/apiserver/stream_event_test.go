package apiserver

import (
	"encoding/binary"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/apiserver/codec"
)

func TestFramesOfProtobufWatches(t *testing.T) {
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	e := &eventEncoder{format: codec.Protobuf}
	for _, bare := range []string{"", "an object", "another, longer object"} {
		frame := e.frame(watch.Modified, []byte(bare), gvk)
		if n := binary.BigEndian.Uint32(frame); int(n) != len(frame)-4 {
			t.Fatalf("the length is %d of %d", n, len(frame))
		}
		var got metav1.WatchEvent
		if err := got.Unmarshal(frame[4:]); err != nil {
			t.Fatal(err)
		}
		if want := codec.AppendProtobuf(nil, []byte(bare), gvk); got.Type != "MODIFIED" || string(got.Object.Raw) != string(want) {
			t.Errorf("%q became %q", want, got.Object.Raw)
		}
	}
}
