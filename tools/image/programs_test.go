package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serveModule makes a module proxy of a folder, with one module in one version
// that has the files, and an empty cache.
func serveModule(t *testing.T, module, version string, files map[string]string) {
	t.Helper()
	proxy := t.TempDir()
	dir := filepath.Join(proxy, module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(archive)
	for name, text := range files {
		f, err := w.Create(module + "@" + version + "/" + name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive.Close()
	write(t, filepath.Join(dir, version+".mod"), files["go.mod"])
	write(t, filepath.Join(dir, version+".info"), `{"Version":"`+version+`"}`)
	for name, value := range map[string]string{"GOPROXY": "file://" + proxy, "GOMODCACHE": t.TempDir(), "GOFLAGS": "-modcacherw -mod=mod", "GONOSUMDB": "*", "GOWORK": "off"} {
		t.Setenv(name, value)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A file is taken of a module that nobody has downloaded, as on a new machine.
func TestFileOfAModuleThatIsNotHere(t *testing.T) {
	const module = "cargo.example/hold"
	serveModule(t, module, "v1.2.3", map[string]string{"go.mod": "module " + module + "\n", "data/anchor.txt": "iron"})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module ship.example\n\ngo 1.26\n\nrequire "+module+" v1.2.3\n")
	if got, err := moduleFile(dir, module, "data/anchor.txt"); err != nil || string(got) != "iron" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := moduleFile(dir, module, "data/none"); !os.IsNotExist(err) {
		t.Errorf("a file that is not in the module: %v", err)
	}
	if _, err := moduleFile(dir, "cargo.example/lost", "x"); err == nil || !strings.Contains(err.Error(), "cargo.example/lost") {
		t.Errorf("a module that nobody has: %v", err)
	}
}
