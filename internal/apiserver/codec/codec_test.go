package codec_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/testkit/mutate"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

var configMap = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

func TestDecode(t *testing.T) {
	c := codec.New(catalog.New())
	tests := []struct {
		name, body, err string
		format          codec.Format
		loose           int
	}{
		{name: "json", body: `{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"b"}}`},
		{name: "without a kind", body: `{"data":{"a":"b"}}`},
		{name: "yaml", body: "data: {a: b}", format: codec.YAML},
		{name: "unknown and duplicate", body: `{"bogus":1,"data":{"a":"1","a":"2"}}`, loose: 2},
		{name: "duplicate in yaml", body: "data:\n  a: b\n  a: c\n", format: codec.YAML, loose: 1},
		{name: "empty", body: "", err: "couldn't get version/kind"},
		{name: "another kind", body: `{"kind":"Pod","apiVersion":"v1"}`, err: "converting (v1.Pod) to (core.ConfigMap): unknown conversion"},
		{name: "another group", body: `{"kind":"Deployment","apiVersion":"apps/v1"}`, err: "converting (v1.Deployment) to (core.ConfigMap)"},
		{name: "unknown kind", body: `{"kind":"Nothing","apiVersion":"v1"}`, err: `no kind "Nothing" is registered`},
		{name: "wrong type", body: `{"data":5}`, err: "cannot unmarshal number"},
		{name: "no protobuf", body: "nothing", format: codec.Protobuf, err: "expected prefix"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := c.Decode([]byte(tt.body), tt.format, configMap, true)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v does not say %q", err, tt.err)
				}
				return
			}
			if err != nil || len(d.Loose) != tt.loose {
				t.Fatalf("findings %v, error %v", d.Loose, err)
			}
		})
	}
}

// What is encoded is decoded to the same, in every format.
func TestEncodingsAreReadBack(t *testing.T) {
	c := codec.New(catalog.New())
	property.Check(t, func(t *rapid.T) {
		in := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: rapid.String().Draw(t, "name"), Labels: rapid.MapOfN(rapid.String(), rapid.String(), 1, 3).Draw(t, "labels")},
			Data: rapid.MapOfN(rapid.StringMatching(`[a-z<&]{0,9}`), rapid.StringMatching(`[ -~]{0,9}`), 1, 3).Draw(t, "data")}
		if rapid.Bool().Draw(t, "named") {
			in.SetGroupVersionKind(configMap)
		}
		for _, f := range []codec.Format{codec.JSON, codec.Protobuf} {
			data, err := codec.Encode(in, configMap, f, false)
			if err != nil {
				t.Fatal(err)
			}
			d, err := c.Decode(data, f, configMap, true)
			if err != nil {
				t.Fatal(err)
			}
			want := in.DeepCopy()
			want.SetGroupVersionKind(configMap)
			if f == codec.Protobuf {
				d.Object.GetObjectKind().SetGroupVersionKind(configMap)
			}
			if diff := cmp.Diff(want, d.Object); diff != "" {
				t.Fatalf("format %d (-want +got)\n%s", f, diff)
			}
		}
	})
}

func TestListsAreJoinedFromTheirItems(t *testing.T) {
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "x"}, Items: []corev1.ConfigMap{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}, Data: map[string]string{"k": "v"}},
	}}
	for _, f := range []codec.Format{codec.JSON, codec.Protobuf} {
		var items [][]byte
		for i := range list.Items {
			item := list.Items[i].DeepCopy()
			item.SetGroupVersionKind(configMap) // as the cache holds it
			bare, err := codec.Bare(item, f)
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, bare)
		}
		gvk := configMap.GroupVersion().WithKind("ConfigMapList")
		body, err := codec.List(gvk, list.ListMeta, items, f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := codec.Encode(list, gvk, f, false)
		if err != nil {
			t.Fatal(err)
		}
		var sent bytes.Buffer
		if n, err := body.WriteTo(&sent); err != nil || int(n) != body.Len() {
			t.Fatalf("%d bytes of %d were written: %v", n, body.Len(), err)
		}
		if !bytes.Equal(want, body.Bytes()) || !bytes.Equal(want, sent.Bytes()) {
			t.Fatalf("format %d\nwant %q\ngot  %q\nsent %q", f, want, body.Bytes(), sent.Bytes())
		}
	}
}

// The envelope is the library's.
func TestProtobufEnvelope(t *testing.T) {
	for _, bare := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("long"), 1000)} {
		whole, err := codec.Wrap(bare, codec.Protobuf, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, false)
		if err != nil {
			t.Fatal(err)
		}
		want, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, Raw: bare}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if want = append([]byte("k8s\x00"), want...); !bytes.Equal(want, whole) {
			t.Errorf("want %q\ngot  %q", want, whole)
		}
	}
}

// A body without fault is read past the library's decoder, to the same object.
func TestFaultlessBodiesAreReadAsTheLibraryReads(t *testing.T) {
	c := codec.New(catalog.New())
	for _, body := range []string{bodies[0], `{"data":{"a":"b"}}`, `{"kind":"ConfigMap","apiVersion":"v1","binaryData":{"k":"aGk="},"immutable":true}`, "null", "{}"} {
		fast, err := c.Decode([]byte(body), codec.JSON, configMap, true)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := c.Decode([]byte(body), codec.JSON, configMap, false) // never takes the short way
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slow, fast); diff != "" {
			t.Errorf("%s (-library +ours)\n%s", body, diff)
		}
	}
}

// bodies are good ones in each format: JSON, YAML, protobuf.
var bodies = []string{
	`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","creationTimestamp":null,"managedFields":[{"fieldsV1":{"f:data":{}}}]},"data":{"a":"b"}}`,
	"apiVersion: v1\nkind: ConfigMap\nmetadata: &x {name: a, labels: {b: c}}\nbinaryData: {k: aGk=}\n",
	"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x0c\x0a\x0a\x0a\x01a\x12\x00\x1a\x00\"\x00*\x00",
}

// readsOrRefuses decodes a body in a format; what was read can be written.
func readsOrRefuses(t *testing.T, c *codec.Codec, format codec.Format, body []byte) {
	d, err := c.Decode(body, format, configMap, true)
	if err != nil {
		return
	}
	c.Default(d.Object)
	data, err := codec.Encode(d.Object, configMap, codec.JSON, false)
	if err == nil && !json.Valid(data) {
		t.Errorf("%q became %q", body, data)
	}
}

func FuzzDecode(f *testing.F) {
	c := codec.New(catalog.New())
	for format, body := range bodies {
		f.Add(byte(format), []byte(body))
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) { readsOrRefuses(t, c, codec.Format(which%3), body) })
}

func TestDamagedBodiesAreReadOrRefused(t *testing.T) {
	c := codec.New(catalog.New())
	for format, body := range bodies {
		mutate.Each(t, 3000, []string{body}, func(t *testing.T, text string) { readsOrRefuses(t, c, codec.Format(format), []byte(text)) })
	}
}
