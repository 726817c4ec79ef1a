package name

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func TestParse(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"nginx":                         "docker.io/library/nginx:latest",
		"nginx:1.27":                    "docker.io/library/nginx:1.27",
		"user/app":                      "docker.io/user/app:latest",
		"index.docker.io/library/nginx": "docker.io/library/nginx:latest",
		"localhost:5000/a/b:c":          "localhost:5000/a/b:c",
		"localhost/a":                   "localhost/a:latest",
		"registry.k8s.io/pause":         "registry.k8s.io/pause:latest",
		"[::1]:5000/x":                  "[::1]:5000/x:latest",
		"nginx:1.27@" + digest:          "docker.io/library/nginx@" + digest,
		"quay.io/x@" + digest:           "quay.io/x@" + digest,
	} {
		got, err := Parse(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "Upper/Case", "a b", "x@sha256:short", "a:b:c", "-", "a//b", "a/", "/a", "a_/b", "a..b/c", "x:", "host:/x", "x@" + digest + "@" + digest} {
		if got, err := Parse(in); err == nil {
			t.Errorf("%q was accepted as %s", in, got)
		}
	}
}

// FuzzParse holds the parser against the library that defines the grammar.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"nginx:1.27", "a.b/c__d/e--f:g", "localhost:1/x", "[::1]:5/x", "A/b", "x@sha256:" + strings.Repeat("0", 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Parse(in)
		want, werr := reference.ParseDockerRef(in)
		if err == nil && werr != nil {
			t.Fatalf("%q was accepted as %s: %v", in, got, werr)
		}
		if err != nil {
			return // stricter is safe: digests of other algorithms, odd IPv6 hosts
		}
		if got.String() != want.String() {
			t.Fatalf("%q: %s, want %s", in, got, want)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Fatalf("%q: %v is not stable: %v, %v", in, got, again, err)
		}
	})
}
