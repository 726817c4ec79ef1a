package verb

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// JSON is YAML: whichever way it is read, the values are the same.
func TestAppliedJSONIsReadAsYAMLWouldBe(t *testing.T) {
	for _, body := range []string{
		`{"a":1,"b":1.5,"c":-7,"d":1e3,"e":9007199254740993,"f":true,"g":null,"h":"x\u00e9\n","i":[1,{"j":[]}],"k":{}}`,
		`{"a":1.0,"b":[2.0,{"c":1e20}],"d":-3e2,"e":1e300}`, `{"a":1,"a":2}`, `{"a":"0x10","b":"yes","c":"1_000"}`, `{}`, `{a: 1, b: [x, y]}`, "{\"a\": 1}\n", "{\"a\": 1} # c", `{"a":1}{"b":2}`, `{"a"`, `[1]`,
	} {
		var got, want map[string]any
		gotErr, wantErr := readLoose([]byte(body), &got), yaml.Unmarshal([]byte(body), &want)
		if (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%s: %v, as YAML %v", body, gotErr, wantErr)
		}
		if diff := cmp.Diff(want, got); gotErr == nil && diff != "" {
			t.Errorf("%s (-yaml +ours)\n%s", body, diff)
		}
	}
}
