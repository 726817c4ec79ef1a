// Package name normalises image names as docker does: nginx is
// docker.io/library/nginx:latest. It is written by hand because its package is
// initialised in every container's first stage, where the usual library's
// regular expressions would cost more than all other packages together.
package name

import (
	"fmt"
	"strings"
)

const (
	defaultHost = "docker.io"
	defaultTag  = "latest"
	maxName     = 255
	maxTag      = 128
)

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
	r, err := parse(s)
	if err != nil {
		return Ref{}, fmt.Errorf("image name %q: %w", s, err)
	}
	return r, nil
}

func parse(s string) (Ref, error) {
	var r Ref
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		if !isDigest(digest) {
			return r, fmt.Errorf("invalid digest %q", digest)
		}
		r.Digest = digest
	}
	// A colon after the last slash begins a tag; one before it belongs to a port.
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		r.Tag, rest = rest[i+1:], rest[:i]
		if !isTag(r.Tag) {
			return r, fmt.Errorf("invalid tag %q", r.Tag)
		}
	}
	r.Host, r.Path = split(rest)
	if err := check(r.Host, r.Path); err != nil {
		return r, err
	}
	r.Repository = r.Host + "/" + r.Path
	switch {
	case r.Digest != "":
		r.Tag = ""
	case r.Tag == "":
		r.Tag = defaultTag
	}
	return r, nil
}

// split tells the registry from the path: the first component is a host if it
// looks like one.
func split(s string) (host, path string) {
	first, rest, ok := strings.Cut(s, "/")
	if !ok || (!strings.ContainsAny(first, ".:") && first != "localhost" && strings.ToLower(first) == first) {
		host, path = defaultHost, s
	} else {
		host, path = first, rest
	}
	if host == "index.docker.io" {
		host = defaultHost
	}
	if host == defaultHost && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host, path
}

func check(host, path string) error {
	if len(host)+1+len(path) > maxName {
		return fmt.Errorf("longer than %d characters", maxName)
	}
	if !isHost(host) {
		return fmt.Errorf("invalid registry %q", host)
	}
	for _, part := range strings.Split(path, "/") {
		if !isPathPart(part) {
			if strings.ToLower(part) != part {
				return fmt.Errorf("repository name must be lowercase")
			}
			return fmt.Errorf("invalid repository name %q", path)
		}
	}
	// Such a word is an image ID.
	if id := strings.TrimPrefix(path, "library/"); host == defaultHost && len(id) == 64 && isHex(id) {
		return fmt.Errorf("a repository name cannot be 64 hexadecimal digits")
	}
	return nil
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
func IsID(s string) bool {
	s = TrimID(s)
	return len(s) >= 6 && len(s) <= 64 && isHex(s)
}

// TrimID is an ID without its algorithm.
func TrimID(s string) string { return strings.TrimPrefix(s, "sha256:") }
