// Package name normalises image names as docker does: nginx is docker.io/library/nginx:latest.
package name

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

var hexID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{6,64}$`)

// Ref is a normalised reference to an image: a name with a tag or a digest.
type Ref struct {
	// Repository is host and path, such as docker.io/library/nginx.
	Repository string
	// Host is the registry, such as docker.io, and Path what follows it.
	Host, Path string
	// Tag is empty where Digest is set.
	Tag string
	// Digest is sha256:..., or empty.
	Digest string
}

// Parse normalises s. A reference with both a tag and a digest goes by its digest.
func Parse(s string) (Ref, error) {
	named, err := reference.ParseDockerRef(s)
	if err != nil {
		return Ref{}, fmt.Errorf("image name %q: %w", s, err)
	}
	r := Ref{Repository: named.Name(), Host: reference.Domain(named), Path: reference.Path(named)}
	if d, ok := named.(reference.Digested); ok {
		r.Digest = d.Digest().String()
	} else if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	return r, nil
}

// String is the normalised form.
func (r Ref) String() string {
	if r.Digest != "" {
		return r.Repository + "@" + r.Digest
	}
	return r.Repository + ":" + r.Tag
}

// WithDigest is the same repository at a digest.
func (r Ref) WithDigest(digest string) Ref {
	r.Tag, r.Digest = "", digest
	return r
}

// IsID says whether s can be an image ID, in full or shortened, rather than a name.
func IsID(s string) bool { return hexID.MatchString(s) }

// TrimID is an ID without its algorithm.
func TrimID(s string) string { return strings.TrimPrefix(s, "sha256:") }
