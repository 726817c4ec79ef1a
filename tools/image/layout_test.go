package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const described = `
name: example.com/team/app:1
aliases: [example.com/team/app:latest]
files: {/etc/greeting: hello}
executables: {/usr/bin/tool: "#!/bin/false"}
applets: {/usr/bin/tool: [one, two]}
modes: {/usr/bin/tool: "6755"}
users: ["user:x:1000:1000::/:/bin/sh"]
groups: ["more:x:50000:user"]
command: [one]
`

// images are the layout's manifests by name.
func images(t *testing.T, dir string) map[string]v1.Descriptor {
	t.Helper()
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]v1.Descriptor{}
	for _, m := range manifest.Manifests {
		found[m.Annotations[annotationName]] = m
	}
	return found
}

func TestLayoutFollowsTheDescription(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "image.yaml"), filepath.Join(dir, "layout")
	build := func(text string) map[string]v1.Descriptor {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := runLayout(out, filepath.Join(dir, "cache"), []string{file}); err != nil {
			t.Fatal(err)
		}
		return images(t, out)
	}
	first := build(described)
	app, latest := first["example.com/team/app:1"], first["example.com/team/app:latest"]
	if len(first) != 2 || app.Digest != latest.Digest {
		t.Fatalf("want one image under two names, have %v", first)
	}
	if again := build(described); again["example.com/team/app:1"].Digest != app.Digest {
		t.Error("the same description gave another image")
	}
	changed := build(strings.Replace(described, "hello", "good day", 1))
	if len(changed) != 2 || changed["example.com/team/app:1"].Digest == app.Digest {
		t.Errorf("a changed description left the image as it was: %v", changed)
	}
	blobs, err := os.ReadDir(filepath.Join(out, "blobs", "sha256"))
	if err != nil || len(blobs) != 3 {
		t.Errorf("want manifest, configuration and layer of one image, have %d blobs, %v", len(blobs), err)
	}
}

func TestModuleSourceIsOneOfTwo(t *testing.T) {
	for _, source := range []moduleSource{{Dir: "."}, {Package: "p", File: "f"}, {Module: "m"}} {
		d := &description{Modules: map[string]moduleSource{"/x": source}}
		if err := d.addForeign(t.TempDir(), programs{}); err == nil {
			t.Errorf("%+v was taken", source)
		}
	}
}
