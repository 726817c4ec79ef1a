package test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
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

// layer makes a layer of members.
func layer(t testing.TB, members ...member) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: m.mode, Size: int64(len(m.body)), Typeflag: tar.TypeReg}
		if m.dir {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// workloadImage is the image that the tests run: a static program and account files, in two layers.
func workloadImage(t testing.TB, bin string) v1.Image {
	t.Helper()
	program, err := os.ReadFile(filepath.Join(bin, "workload"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image,
		layer(t, member{name: "etc/", mode: 0o755, dir: true}, member{name: "tmp/", mode: 0o1777, dir: true},
			member{name: "etc/passwd", mode: 0o644, body: []byte("root:x:0:0::/root:/\napp:x:1000:1000::/:/\n")},
			member{name: "etc/group", mode: 0o644, body: []byte("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")},
			member{name: "etc/gone", mode: 0o644, body: []byte("deleted by the next layer")}),
		layer(t, member{name: "workload", mode: 0o755, body: program}, member{name: "etc/.wh.gone", mode: 0o644}))
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = "amd64", "linux"
	file.Config.Entrypoint = []string{"/workload"}
	file.Config.Cmd = []string{"wait"}
	file.Config.Env = []string{"FROM=image"}
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return img
}

// archive is the workload's image as docker save writes it.
func archive(t testing.TB, bin string) []byte {
	t.Helper()
	tag, err := name.NewTag("workload:test")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := tarball.Write(tag, workloadImage(t, bin), &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
