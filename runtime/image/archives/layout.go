package archives

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
)

// Annotations that name an image in an index.
const (
	nameAnnotation = "io.containerd.image.name"
	refAnnotation  = "org.opencontainers.image.ref.name"
)

const maxDepth = 4

// layout reads an OCI image layout (OCI image spec, image-layout).
func (a *archive) layout() ([]Image, error) {
	data, err := a.files.document("index.json")
	if err != nil {
		return nil, err
	}
	return a.index(data, nil, 0)
}

// index finds the images of an index that suit this platform.
func (a *archive) index(data []byte, names []string, depth int) ([]Image, error) {
	var idx v1.IndexManifest
	if err := json.Unmarshal(data, &idx); err != nil {
		return nil, Corrupt(fmt.Errorf("index: %w", err))
	}
	if depth > maxDepth || len(idx.Manifests) > maxImages {
		return nil, fault.New(fault.Invalid, "archive: index is too deep or too long")
	}
	var out []Image
	for _, d := range idx.Manifests {
		found, err := a.entry(d, names, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (a *archive) entry(d v1.Descriptor, names []string, depth int) ([]Image, error) {
	if d.Platform != nil && !a.wanted(*d.Platform) {
		return nil, nil
	}
	if n := entryName(d.Annotations); n != "" {
		names = []string{n}
	}
	member, err := blobMember(d.Digest.String())
	if err != nil {
		return nil, err
	}
	switch {
	case d.MediaType.IsIndex():
		data, err := a.verified(member, d.Digest.String())
		if err != nil {
			return nil, err
		}
		return a.index(data, names, depth+1)
	case d.MediaType.IsImage():
		if ok, err := a.image(member, d.Digest.String()); err != nil || !ok {
			return nil, err
		}
		return []Image{{Manifest: d.Digest.String(), Names: names}}, nil
	}
	return nil, nil
}

func entryName(annotations map[string]string) string {
	if n := annotations[nameAnnotation]; n != "" {
		return n
	}
	return annotations[refAnnotation]
}

// image stores a manifest and everything that it names, where that runs here.
func (a *archive) image(member, digest string) (ok bool, err error) {
	data, err := a.verified(member, digest)
	if err != nil {
		return false, err
	}
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return false, Corrupt(fmt.Errorf("manifest: %w", err))
	}
	config, err := blobMember(m.Config.Digest.String())
	if err != nil {
		return false, err
	}
	if ok, err := a.suits(config); err != nil || !ok {
		return false, err
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		part, err := blobMember(d.Digest.String())
		if err != nil {
			return false, err
		}
		if _, err := a.put(part, d.MediaType, d.Digest.String()); err != nil {
			return false, err
		}
	}
	_, err = a.store.PutBytes(data)
	return err == nil, err
}

// verified reads a small member that must have digest.
func (a *archive) verified(member, digest string) ([]byte, error) {
	data, err := a.files.document(member)
	if err != nil {
		return nil, err
	}
	if got := blobs.Digest(data); got != digest {
		return nil, Corrupt(fmt.Errorf("%s: %w: got %s", member, blobs.ErrDigest, got))
	}
	return data, nil
}

func blobMember(digest string) (string, error) {
	h, err := blobs.Hex(digest)
	if err != nil {
		return "", fault.As(fault.Invalid, err)
	}
	return "blobs/sha256/" + h, nil
}
