package archives

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/knarr-io/knarr/runtime/image/blobs"
)

// Write writes images as one OCI image layout that docker load reads as well.
func Write(w io.Writer, store *blobs.Store, images []Image) error {
	out := &writer{tar: tar.NewWriter(w), store: store, done: map[string]bool{}}
	idx := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	var docker []dockerImage
	for _, img := range images {
		d, entry, err := out.image(img)
		if err != nil {
			return err
		}
		docker = append(docker, entry)
		for _, n := range img.Names {
			d.Annotations = map[string]string{nameAnnotation: n}
			idx.Manifests = append(idx.Manifests, d)
		}
		if len(img.Names) == 0 {
			idx.Manifests = append(idx.Manifests, d)
		}
	}
	for _, doc := range []struct {
		name string
		body any
	}{{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}}, {"index.json", idx}, {"manifest.json", docker}} {
		data, err := json.Marshal(doc.body)
		if err != nil {
			return err
		}
		if err := out.bytes(doc.name, data); err != nil {
			return err
		}
	}
	return out.tar.Close()
}

type writer struct {
	tar   *tar.Writer
	store *blobs.Store
	done  map[string]bool
}

func (w *writer) image(img Image) (v1.Descriptor, dockerImage, error) {
	var d v1.Descriptor
	var entry dockerImage
	data, err := w.store.Read(img.Manifest, maxDocument)
	if err != nil {
		return d, entry, err
	}
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return d, entry, fmt.Errorf("manifest %s: %w", img.Manifest, err)
	}
	entry.RepoTags = img.Names
	if entry.Config, err = w.blob(m.Config.Digest.String()); err != nil {
		return d, entry, err
	}
	for _, l := range m.Layers {
		member, err := w.blob(l.Digest.String())
		if err != nil {
			return d, entry, err
		}
		entry.Layers = append(entry.Layers, member)
	}
	if _, err := w.blob(img.Manifest); err != nil {
		return d, entry, err
	}
	h, err := v1.NewHash(img.Manifest)
	media := m.MediaType
	if media == "" {
		media = types.OCIManifestSchema1
	}
	return v1.Descriptor{MediaType: media, Size: int64(len(data)), Digest: h}, entry, err
}

// blob writes a blob once and returns its member name.
func (w *writer) blob(digest string) (string, error) {
	member, err := blobMember(digest)
	if err != nil || w.done[digest] {
		return member, err
	}
	w.done[digest] = true
	f, err := w.store.Open(digest)
	if err != nil {
		return member, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return member, err
	}
	if err := w.tar.WriteHeader(&tar.Header{Name: member, Mode: 0o644, Size: fi.Size(), Typeflag: tar.TypeReg}); err != nil {
		return member, err
	}
	_, err = io.Copy(w.tar, f)
	return member, err
}

func (w *writer) bytes(member string, data []byte) error {
	if err := w.tar.WriteHeader(&tar.Header{Name: member, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := w.tar.Write(data)
	return err
}
