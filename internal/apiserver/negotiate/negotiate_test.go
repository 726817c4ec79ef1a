package negotiate

import (
	"testing"

	"github.com/knarr-io/knarr/internal/apiserver/codec"
)

func TestAccept(t *testing.T) {
	tests := []struct {
		header  string
		stream  bool
		plain   bool // a kind without a Table form
		want    Answer
		refused bool
	}{
		{header: ""},
		{header: "*/*"},
		{header: "application/*"},
		{header: "application/yaml", want: Answer{Format: codec.YAML}},
		{header: "application/yaml", stream: true, refused: true},
		{header: "application/xml", refused: true},
		{header: "application/cbor", refused: true},
		{header: "application/json;q=0.1,application/vnd.kubernetes.protobuf", want: Answer{Format: codec.Protobuf}},
		{header: "application/json;as=Table;v=v1;g=meta.k8s.io", want: Answer{Target: Table}},
		{header: "application/json;as=Table;v=v1beta1;g=meta.k8s.io", refused: true},
		{header: "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"},
		{header: "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", refused: true},
		{header: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", want: Answer{Target: Metadata}},
		{header: "application/json;as=Table;v=v1;g=meta.k8s.io", plain: true, refused: true},
		{header: "application/json;as=Table;v=v1;g=meta.k8s.io,application/yaml", plain: true, want: Answer{Format: codec.YAML}},
		{header: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", plain: true, want: Answer{Target: Metadata}},
		{header: "application/json;stream=watch", stream: true, want: Answer{Stream: true}},
	}
	for _, tt := range tests {
		got, err := Accept(tt.header, tt.stream, !tt.plain)
		if (err != nil) != tt.refused || (err == nil && got != tt.want) {
			t.Errorf("%q: got %+v, %v", tt.header, got, err)
		}
	}
}

func TestBody(t *testing.T) {
	for header, want := range map[string]codec.Format{
		"": codec.JSON, "APPLICATION/JSON": codec.JSON, "application/json; charset=utf-8": codec.JSON,
		"application/yaml": codec.YAML, "application/vnd.kubernetes.protobuf": codec.Protobuf,
	} {
		if got, err := Body(header); err != nil || got != want {
			t.Errorf("%q is %v, %v", header, got, err)
		}
	}
	for _, header := range []string{"text/plain", "garbage", "application/cbor"} {
		if _, err := Body(header); err == nil {
			t.Errorf("%q was taken", header)
		}
	}
}

func TestPretty(t *testing.T) {
	for _, tt := range []struct {
		param, agent string
		want         bool
	}{{"", "kubectl", false}, {"", "curl/8", true}, {"false", "curl/8", false}, {"1", "x", true}} {
		if got := Pretty(tt.param, tt.agent); got != tt.want {
			t.Errorf("%q, %q: %v", tt.param, tt.agent, got)
		}
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.5", true)
	f.Fuzz(func(t *testing.T, header string, stream bool) {
		if a, err := Accept(header, stream, true); err == nil && stream && a.Format == codec.YAML {
			t.Fatal("a watch would be sent as YAML")
		}
	})
}
