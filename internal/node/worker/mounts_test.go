package worker

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestSubPathExpressions(t *testing.T) {
	env := []*runtimeapi.KeyValue{{Key: "POD", Value: []byte("web-0")}, {Key: "EMPTY"}}
	for _, tc := range []struct{ expr, want, err string }{
		{"logs/$(POD)", "logs/web-0", ""}, {"$(POD)$(EMPTY)", "web-0", ""}, {"$$(POD)", "$(POD)", ""}, {"plain", "plain", ""},
		{"$(NOBODY)/x", "", `missing value for "NOBODY"`},
	} {
		got, err := expandPath(tc.expr, env)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tc.want || text != tc.err {
			t.Errorf("%s: %q %q, want %q %q", tc.expr, got, text, tc.want, tc.err)
		}
	}
}
