package payload

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

func pack(t *testing.T, content string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// The program is there whole after the first call, stays as it is in the
// second, and makes room for that of another build.
func TestUnpackHelm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	first, err := unpackHelm(pack(t, "#!first"), dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(first)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v %v", info, err)
	}
	again, err := unpackHelm(pack(t, "#!first"), dir)
	if err != nil || again != first {
		t.Fatalf("%s, %v; want %s", again, err, first)
	}
	if same, err := os.Stat(again); err != nil || !same.ModTime().Equal(info.ModTime()) || !os.SameFile(same, info) {
		t.Errorf("the program was written anew: %v", err)
	}
	second, err := unpackHelm(pack(t, "#!other"), dir)
	if err != nil || second == first {
		t.Fatalf("%s, %v; want another path", second, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(second) {
		t.Errorf("%v %v; want only %s", left, err, second)
	}
	if content, err := os.ReadFile(second); err != nil || string(content) != "#!other" {
		t.Errorf("%q %v", content, err)
	}
}

// What a power cut left of the program is made whole.
func TestHelmAfterAPowerCut(t *testing.T) {
	dir := t.TempDir()
	path, err := unpackHelm(pack(t, "#!program"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if again, err := unpackHelm(pack(t, "#!program"), dir); err != nil || again != path {
		t.Fatal(again, err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "#!program" {
		t.Errorf("%q %v", content, err)
	}
}

// A damaged program is refused, and nothing of it is left.
func TestUnpackDamagedHelm(t *testing.T) {
	packed := pack(t, "#!program of some length")
	for name, damaged := range map[string][]byte{
		"cut": packed[:len(packed)-6], "changed": append(bytes.Clone(packed[:len(packed)-5]), 1, 2, 3, 4, 5), "empty": nil, "other": []byte("#!/bin/sh"),
	} {
		dir := t.TempDir()
		if path, err := unpackHelm(damaged, dir); err == nil {
			t.Errorf("%s: unpacked to %s", name, path)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}
