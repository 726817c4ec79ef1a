package archives

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/platform"
)

func openStore(t testing.TB) *blobs.Store {
	t.Helper()
	s, err := blobs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pack makes a tar of name and content pairs; a content of "-> x" is a symbolic link.
func pack(t testing.TB, members ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i < len(members); i += 2 {
		h := &tar.Header{Name: members[i], Mode: 0o644, Size: int64(len(members[i+1])), Typeflag: tar.TypeReg}
		body := members[i+1]
		if len(body) > 3 && body[:3] == "-> " {
			h.Typeflag, h.Linkname, h.Size, body = tar.TypeSymlink, body[3:], 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func dockerArchive(t testing.TB) []byte {
	return pack(t, "c.json", `{"rootfs":{"type":"layers","diff_ids":[]}}`, "a/layer.tar", string(pack(t, "f", "x")),
		"b/layer.tar", "-> ../a/layer.tar", "manifest.json", `[{"Config":"c.json","RepoTags":["x:1","y:2"],"Layers":["a/layer.tar","b/layer.tar"]}]`)
}

func TestDockerArchiveWithLinks(t *testing.T) {
	store := openStore(t)
	images, err := Read(bytes.NewReader(dockerArchive(t)), store)
	if err != nil || len(images) != 1 || fmt.Sprint(images[0].Names) != "[x:1 y:2]" {
		t.Fatalf("%+v, %v", images, err)
	}
	data, err := store.Read(images[0].Manifest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil || len(m.Layers) != 2 || m.Layers[0].Digest != m.Layers[1].Digest {
		t.Fatalf("%s, %v", data, err)
	}
	for _, d := range append(m.Layers, m.Config) {
		if size, ok := store.Size(d.Digest.String()); !ok || size != d.Size {
			t.Errorf("blob %s: %d, %v", d.Digest, size, ok)
		}
	}
}

func TestWriteThenRead(t *testing.T) {
	store, other := openStore(t), openStore(t)
	images, err := Read(bytes.NewReader(dockerArchive(t)), store)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, store, images); err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(out.Bytes()), other)
	if err != nil || len(again) != 1 || fmt.Sprint(again[0].Names) != "[x:1 y:2]" {
		t.Fatalf("%+v, %v", again, err)
	}
}

func TestHostileArchives(t *testing.T) {
	config := `{"rootfs":{"type":"layers","diff_ids":[]}}`
	for name, members := range map[string][]string{
		"no image":               {"x", "y"},
		"not JSON":               {"manifest.json", "{"},
		"a file of the host":     {"manifest.json", `[{"Config":"../../../../etc/passwd","Layers":[]}]`},
		"a link to the host":     {"c.json", "-> /etc/passwd", "manifest.json", `[{"Config":"c.json","Layers":[]}]`},
		"links in a circle":      {"a", "-> b", "b", "-> a", "manifest.json", `[{"Config":"a","Layers":[]}]`},
		"a missing layer":        {"c.json", config, "manifest.json", `[{"Config":"c.json","Layers":["gone"]}]`},
		"a wrong digest":         {"index.json", `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + zeros + `","size":1}]}`, "blobs/sha256/" + zeros, "{}"},
		"an index in itself":     {"index.json", `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha512:x","size":1}]}`},
		"a digest that is a way": {"index.json", `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../../etc/passwd","size":1}]}`},
	} {
		_, err := Read(bytes.NewReader(pack(t, members...)), openStore(t))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// FuzzRead feeds archives of any content; none may do more than fail.
func FuzzRead(f *testing.F) {
	f.Add(dockerArchive(f))
	f.Add(pack(f, "index.json", `{"manifests":[]}`))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, in []byte) {
		store := openStore(t)
		images, err := Read(bytes.NewReader(in), store)
		if err != nil {
			return
		}
		for _, img := range images {
			if _, ok := store.Size(img.Manifest); !ok {
				t.Fatalf("image %s without a manifest", img.Manifest)
			}
		}
	})
}

// layoutOf is an OCI layout of images with these configurations; each
// descriptor names the platform only where told.
func layoutOf(t testing.TB, platforms map[string]string, configs ...string) []byte {
	t.Helper()
	var members []string
	var descs []string
	for _, c := range configs {
		manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`, blobs.Digest([]byte(c)), len(c))
		for _, blob := range []string{c, manifest} {
			members = append(members, "blobs/sha256/"+blobs.Digest([]byte(blob))[len("sha256:"):], blob)
		}
		platform := ""
		if p := platforms[c]; p != "" {
			platform = `,"platform":` + p
		}
		descs = append(descs, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d%s}`, blobs.Digest([]byte(manifest)), len(manifest), platform))
	}
	return pack(t, append(members, "index.json", `{"manifests":[`+strings.Join(descs, ",")+`]}`)...)
}

func TestPlatforms(t *testing.T) {
	config := func(arch string) string {
		return `{"os":"linux","architecture":"` + arch + `","rootfs":{"type":"layers","diff_ids":[]}}`
	}
	own, other := config(platform.Host().Architecture), config("s390x")
	named := map[string]string{other: `{"os":"linux","architecture":"s390x"}`}
	docker := func(c string) []byte {
		return pack(t, "c.json", c, "manifest.json", `[{"Config":"c.json","Layers":[]}]`)
	}
	for name, tc := range map[string]struct {
		archive []byte
		want    int
	}{
		"one, ours": {layoutOf(t, nil, own), 1}, "one, another's": {layoutOf(t, nil, other), 0}, "one, another's by its index": {layoutOf(t, named, other), 0},
		"both": {layoutOf(t, nil, own, other), 1}, "both by the index": {layoutOf(t, named, own, other), 1},
		"docker, ours": {docker(own), 1}, "docker, another's": {docker(other), 0},
	} {
		images, err := Read(bytes.NewReader(tc.archive), openStore(t))
		if len(images) != tc.want || (err == nil) != (tc.want > 0) {
			t.Errorf("%s: %d images, %v", name, len(images), err)
		}
		if err != nil && !strings.Contains(err.Error(), "linux/s390x") {
			t.Errorf("%s: the platform is not told: %v", name, err)
		}
	}
}
