package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layout makes a folder with these files.
func layout(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDirectory(t *testing.T) {
	r, err := Directory(layout(t, "index.json", "blobs/sha256/a"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := map[string]string{}
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			data, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			got[h.Name] = string(data)
		}
	}
	if d := cmp.Diff(map[string]string{"index.json": "index.json", "blobs/sha256/a": "blobs/sha256/a"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, dir := range []string{layout(t, "hello"), filepath.Join(t.TempDir(), "gone")} {
		if r, err := Directory(dir); err == nil {
			r.Close()
			t.Errorf("%s is taken for images", dir)
		}
	}
}

// runtimeThat serves a runtime's socket.
func runtimeThat(t *testing.T, answers http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(answers)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	c := New(socket)
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestExport(t *testing.T) {
	c := runtimeThat(t, func(w http.ResponseWriter, r *http.Request) {
		switch names := r.URL.Query()["name"]; {
		case cmp.Equal(names, []string{"a:1", "b:1"}):
			_, _ = io.WriteString(w, "an archive")
		case cmp.Equal(names, []string{"broken"}):
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "image not found"})
		}
	})
	var out bytes.Buffer
	if err := c.Export(t.Context(), &out, "a:1", "b:1"); err != nil || out.String() != "an archive" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := c.Export(t.Context(), io.Discard, "none"); err == nil || !strings.Contains(err.Error(), "image not found") {
		t.Errorf("an image that is not there: %v", err)
	}
	if err := c.Export(t.Context(), io.Discard, "broken"); err == nil {
		t.Error("half an archive is taken for whole")
	}
}
