package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/registry"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, registry.Config{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		body := h.Uname // content travels in a field that is not used otherwise
		h.Uname, h.Size = "", int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return buf.Bytes()
}

// dockerSave makes an archive of an image with these layers.
func dockerSave(t testing.TB, tag string, layers ...[]byte) []byte {
	t.Helper()
	var config v1.ConfigFile
	config.RootFS.Type = "layers"
	config.Config.Cmd = []string{tag}
	headers := []tar.Header{}
	names := []string{}
	for i, l := range layers {
		h, err := v1.NewHash(blobs.Digest(l))
		if err != nil {
			t.Fatal(err)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, h)
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		headers = append(headers, tar.Header{Name: names[i], Uname: string(l)})
	}
	c, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	m, err := json.Marshal([]map[string]any{{"Config": "c.json", "RepoTags": []string{tag}, "Layers": names}})
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, append(headers, tar.Header{Name: "c.json", Uname: string(c)}, tar.Header{Name: "manifest.json", Uname: string(m)})...)
}

func load(t testing.TB, s *Store, archive []byte) *Image {
	t.Helper()
	images, err := s.Import(t.Context(), bytes.NewReader(archive), "")
	if err != nil || len(images) != 1 {
		t.Fatalf("%v, %v", images, err)
	}
	return images[0]
}

func TestLayersShareAndAreCollected(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	base := tarOf(t, tar.Header{Name: "base", Uname: "b"})
	one := load(t, s, dockerSave(t, "one:1", base, tarOf(t, tar.Header{Name: "one", Uname: "1"})))
	two := load(t, s, dockerSave(t, "two:1", base, tarOf(t, tar.Header{Name: "two", Uname: "2"})))
	if one.ChainIDs()[0] != two.ChainIDs()[0] || one.ChainIDs()[1] == two.ChainIDs()[1] {
		t.Fatalf("chains %v and %v", one.ChainIDs(), two.ChainIDs())
	}
	s.Retain("container", one.ChainIDs())
	if err := s.Remove("one:1"); err != nil {
		t.Fatal(err)
	}
	lower, err := s.Lower(one.ChainIDs())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lower {
		if _, err := os.Stat(l); err != nil {
			t.Errorf("a layer in use is gone: %v", err)
		}
	}
	s.Release("container")
	if _, err := os.Stat(lower[0]); err == nil {
		t.Error("a layer of nobody stays")
	}
	if _, err := os.Stat(filepath.Join(lower[1], "base")); err != nil {
		t.Errorf("a shared layer is gone: %v", err)
	}
	again := open(t, dir)
	if img, err := again.Get("two:1"); err != nil || img.ID != two.ID {
		t.Errorf("after a restart: %v, %v", img, err)
	}
	if _, err := again.Get("one:1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a removed image: %v", err)
	}
}

func TestNamesMove(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	first := load(t, s, dockerSave(t, "app:1", tarOf(t, tar.Header{Name: "a", Uname: "1"})))
	second := load(t, s, dockerSave(t, "app:1", tarOf(t, tar.Header{Name: "a", Uname: "2"})))
	for range 2 {
		img, err := s.Get("app:1")
		if err != nil || img.ID != second.ID {
			t.Fatalf("app:1 is %v, %v", img, err)
		}
		old, err := s.Get(first.ID)
		if err != nil || len(old.Tags) != 0 {
			t.Fatalf("the first image: %v, %v", old, err)
		}
		s = open(t, dir)
	}
}

// A kill between the two records that a name's move changes leaves it in both:
// it is the newer image's, and goes with that for good.
func TestANameThatMovedHalfway(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	old := load(t, s, dockerSave(t, "name:1", tarOf(t, tar.Header{Name: "a", Uname: "a"})))
	record := filepath.Join(dir, "images", strings.TrimPrefix(old.ID, "sha256:")+".json")
	before, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	newer := load(t, s, dockerSave(t, "name:1", tarOf(t, tar.Header{Name: "b", Uname: "b"})))
	if err := os.WriteFile(record, before, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if img, err := s.Get("name:1"); err != nil || img.ID != newer.ID {
		t.Errorf("the name is that of %v, %v", img, err)
	}
	if img, err := s.Get(old.ID); err != nil || len(img.Tags) > 0 {
		t.Errorf("the older image: %v, %v", img, err)
	}
	if err := s.Untag("name:1"); err != nil {
		t.Fatal(err)
	}
	if img, err := open(t, dir).Get("name:1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a name that was removed is back: %v, %v", img, err)
	}
}

func TestTornRecordsAreDropped(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	load(t, s, dockerSave(t, "app:1", tarOf(t, tar.Header{Name: "a", Uname: "1"})))
	files, err := filepath.Glob(filepath.Join(dir, "images", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 100); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if list := s.List(); len(list) != 0 {
		t.Fatalf("a torn record was read: %v", list)
	}
	load(t, s, dockerSave(t, "app:1", tarOf(t, tar.Header{Name: "a", Uname: "1"})))
}

// A layer must not write outside its own folder, however it words it.
func TestHostileLayers(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, layer := range map[string][]byte{
		"a path that climbs":      tarOf(t, tar.Header{Name: "../../../../../../../.." + outside + "/x", Uname: "x"}),
		"an absolute path":        tarOf(t, tar.Header{Name: outside + "/x", Uname: "x"}),
		"a link, then through it": tarOf(t, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: outside}, tar.Header{Name: "l/x", Uname: "x"}),
		"a hard link":             tarOf(t, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "../../../../../../etc/passwd"}),
		"a whiteout that climbs":  tarOf(t, tar.Header{Name: "../../../" + outside + "/.wh.x"}),
	} {
		if err := os.WriteFile(filepath.Join(outside, "keep"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := open(t, t.TempDir()).Import(t.Context(), bytes.NewReader(dockerSave(t, "x:1", layer)), "")
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		entries, rerr := os.ReadDir(outside)
		if rerr != nil || len(entries) != 1 {
			t.Errorf("%s reached outside: %v, %v", name, entries, rerr)
		}
	}
}

func TestWhiteoutsBecomeOverlays(t *testing.T) {
	s := open(t, t.TempDir())
	img := load(t, s, dockerSave(t, "w:1", tarOf(t, tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "d/f", Uname: "x"}),
		tarOf(t, tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o700}, tar.Header{Name: "d/.wh.f"}, tar.Header{Name: "d/.wh..wh..opq"})))
	lower, err := s.Lower(img.ChainIDs())
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(lower[0], "d", "f"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("whiteout: %+v, %v", st, err)
	}
	var value [4]byte
	if n, err := unix.Lgetxattr(filepath.Join(lower[0], "d"), "trusted.overlay.opaque", value[:]); err != nil || string(value[:n]) != "y" {
		t.Errorf("opaque: %q, %v", value[:n], err)
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"sha256:x"},"layers":[]}`), []byte(`{"rootfs":{"diff_ids":[]}}`))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		store, err := blobs.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.PutBytes(config); err != nil {
			t.Fatal(err)
		}
		manifest = bytes.ReplaceAll(manifest, []byte("sha256:x"), []byte(blobs.Digest(config)))
		d, err := store.PutBytes(manifest)
		if err != nil {
			t.Fatal(err)
		}
		img, err := describe(store, d)
		if err == nil && len(img.ChainIDs()) > maxLayers {
			t.Fatalf("%d layers", len(img.Layers))
		}
	})
}
