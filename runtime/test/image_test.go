package test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

type member struct {
	name string
	mode int64
	body []byte
	dir  bool
}

// layer makes a layer of members, which is packed once however often it is read.
func layer(members ...member) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: m.mode, Size: int64(len(m.body)), Typeflag: tar.TypeReg}
		if m.dir {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(m.body); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	body := buf.Bytes()
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }, tarball.WithCompressedCaching)
}

// builtImage is made once for all tests.
var builtImage = sync.OnceValues(func() (v1.Image, error) {
	dir, err := binaries()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(filepath.Join(dir, "workload"))
	if err != nil {
		return nil, err
	}
	accounts, err := layer(member{name: "etc/", mode: 0o755, dir: true}, member{name: "tmp/", mode: 0o1777, dir: true},
		member{name: "etc/passwd", mode: 0o644, body: []byte("root:x:0:0::/root:/\napp:x:1000:1000::/:/\n")},
		member{name: "etc/group", mode: 0o644, body: []byte("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")},
		member{name: "etc/gone", mode: 0o644, body: []byte("deleted by the next layer")})
	if err != nil {
		return nil, err
	}
	top, err := layer(member{name: "workload", mode: 0o755, body: program}, member{name: "etc/.wh.gone", mode: 0o644})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, accounts, top)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = "amd64", "linux"
	file.Config.Entrypoint = []string{"/workload"}
	file.Config.Cmd = []string{"wait"}
	file.Config.Env = []string{"FROM=image"}
	return mutate.ConfigFile(img, file)
})

// workloadImage is the image that the tests run: a static program and account files, in two layers.
func workloadImage(t testing.TB) v1.Image {
	t.Helper()
	img, err := builtImage()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// archive is the workload's image as docker save writes it.
func archive(t testing.TB) []byte {
	t.Helper()
	tag, err := name.NewTag("workload:test")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := tarball.Write(tag, workloadImage(t), &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
