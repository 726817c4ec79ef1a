package harness

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image reads an archive of the folder of images; a version makes it an image
// of its own, with the variable VERSION set to it.
func (c *Cluster) Image(t testing.TB, archive, version string) v1.Image {
	t.Helper()
	image, err := tarball.ImageFromPath(filepath.Join(c.Images, archive), nil)
	if err != nil {
		t.Fatalf("read the image: %v", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatalf("read the image's configuration: %v", err)
	}
	changed := config.Config
	changed.Env = append(append([]string{}, changed.Env...), "VERSION="+version)
	if image, err = mutate.Config(image, changed); err != nil {
		t.Fatalf("set the image's variable: %v", err)
	}
	return image
}

// Push pushes an image to a registry on the machine and returns the digest
// that it has there. The user may be empty.
func (c *Cluster) Push(t testing.TB, image v1.Image, ref, user, password string) string {
	t.Helper()
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.Anonymous
	if user != "" {
		auth = &authn.Basic{Username: user, Password: password}
	}
	way := &http.Transport{DialContext: c.Machine.Dial}
	defer way.CloseIdleConnections()
	if err := remote.Write(tag, image, remote.WithTransport(way), remote.WithAuth(auth), remote.WithContext(t.Context())); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}
