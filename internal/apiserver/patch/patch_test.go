package patch

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/testkit/mutate"
)

func TestApply(t *testing.T) {
	const pod = `{"metadata":{"name":"a","labels":{"x":"1"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	tests := []struct {
		name, doc, patch string
		kind             types.PatchType
		want, err        string
		loose            int
	}{
		{"add", pod, `[{"op":"add","path":"/metadata/labels/y","value":"2"}]`, types.JSONPatchType, `"y":"2"`, "", 0},
		{"failed test", pod, `[{"op":"test","path":"/metadata/name","value":"b"}]`, types.JSONPatchType, "", "rejected our request", 0},
		{"not a list", pod, `{}`, types.JSONPatchType, "", "cannot unmarshal", 0},
		{"merge", pod, `{"metadata":{"labels":{"x":null,"z":"3"}}}`, types.MergePatchType, `"labels":{"z":"3"}`, "", 0},
		{"merge twice", pod, `{"a":1,"a":2}`, types.MergePatchType, `"a":2`, "", 1},
		{"merge of a list", pod, `[]`, types.MergePatchType, "", "error decoding patch", 0},
		{"strategic", pod, `{"spec":{"containers":[{"name":"d","image":"j"}]}}`, types.StrategicMergePatchType, `"name":"c"`, "", 0},
		{"strategic delete", pod, `{"spec":{"containers":[{"name":"c","$patch":"delete"}]}}`, types.StrategicMergePatchType, `"containers":[]`, "", 0},
		{"strategic garbage", pod, `{`, types.StrategicMergePatchType, "", "unexpected", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, loose, err := Apply(tt.kind, []byte(tt.doc), []byte(tt.patch), &corev1.Pod{})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v does not say %q", err, tt.err)
				}
				return
			}
			if err != nil || !bytes.Contains(out, []byte(tt.want)) || len(loose) != tt.loose {
				t.Fatalf("got %s, loose %v, error %v", out, loose, err)
			}
		})
	}
}

func TestTooManyOperations(t *testing.T) {
	one := `{"op":"test","path":"/a","value":1},`
	patch := "[" + strings.TrimSuffix(strings.Repeat(one, limits.PatchOperations+1), ",") + "]"
	_, _, err := Apply(types.JSONPatchType, []byte(`{"a":1}`), []byte(patch), nil)
	if !errors.IsRequestEntityTooLargeError(err) {
		t.Fatalf("got %v", err)
	}
}

func TestCopiesDoNotGrowWithoutEnd(t *testing.T) {
	doc := `{"a":"` + strings.Repeat("x", limits.PatchCopies/3) + `"}`
	patch := func(copies int) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(`{"op":"copy","from":"/a","path":"/b"},`, copies), ",") + "]")
	}
	if _, _, err := Apply(types.JSONPatchType, []byte(doc), patch(2), nil); err != nil {
		t.Errorf("two copies: %v", err)
	}
	if _, _, err := Apply(types.JSONPatchType, []byte(doc), patch(4), nil); errors.ReasonForError(err) != metav1.StatusReasonInvalid {
		t.Errorf("four copies: %v", err)
	}
}

var fuzzed = []struct {
	kind  types.PatchType
	patch string
}{
	{types.JSONPatchType, `[{"op":"move","from":"/a","path":"/b/0"},{"op":"copy","from":"/spec","path":"/a/-"},{"op":"test","path":"/a/0","value":1}]`},
	{types.MergePatchType, `{"metadata":{"labels":null},"a":[{"b":{}}]}`},
	{types.StrategicMergePatchType, `{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","$patch":"replace"}],"$retainKeys":["containers"]}}`},
}

// changesOrRefuses applies a patch; what comes out is JSON.
func changesOrRefuses(t *testing.T, kind types.PatchType, patch []byte) {
	doc := []byte(`{"a":[1],"metadata":{"labels":{"x":"y"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	out, _, err := Apply(kind, doc, patch, &corev1.Pod{})
	if err == nil && !json.Valid(out) {
		t.Errorf("a patch made %q", out)
	}
}

func FuzzApply(f *testing.F) {
	for which, seed := range fuzzed {
		f.Add(byte(which), []byte(seed.patch))
	}
	f.Fuzz(func(t *testing.T, which byte, patch []byte) {
		changesOrRefuses(t, fuzzed[int(which)%len(fuzzed)].kind, patch)
	})
}

func TestDamagedPatchesChangeOrAreRefused(t *testing.T) {
	for _, seed := range fuzzed {
		mutate.Each(t, 3000, []string{seed.patch}, func(t *testing.T, text string) { changesOrRefuses(t, seed.kind, []byte(text)) })
	}
}
