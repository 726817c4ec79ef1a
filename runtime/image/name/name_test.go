package name

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"nginx":                         "docker.io/library/nginx:latest",
		"nginx:1.27":                    "docker.io/library/nginx:1.27",
		"user/app":                      "docker.io/user/app:latest",
		"index.docker.io/library/nginx": "docker.io/library/nginx:latest",
		"localhost:5000/a/b:c":          "localhost:5000/a/b:c",
		"registry.k8s.io/pause":         "registry.k8s.io/pause:latest",
		"nginx:1.27@" + digest:          "docker.io/library/nginx@" + digest,
		"quay.io/x@" + digest:           "quay.io/x@" + digest,
	} {
		got, err := Parse(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "Upper/Case", "a b", "x@sha256:short", "a:b:c", "-"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("%q was accepted as %s", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("nginx:1.27")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again != r {
			t.Fatalf("%q: %v is not stable: %v, %v", in, r, again, err)
		}
	})
}
