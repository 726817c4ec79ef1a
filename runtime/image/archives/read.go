package archives

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/platform"
)

const (
	maxBlob   = 64 << 30
	maxImages = 1024
)

// Image is an image found in an archive, with its blobs in the store.
type Image struct {
	Manifest string
	// Names are as they stand in the archive, not normalised.
	Names []string
}

// Read puts the blobs of every image in r that is for this machine into store;
// an archive that has only others is an error. On an error some blobs may be
// there; nothing names them.
func Read(r io.Reader, store *blobs.Store) (images []Image, err error) {
	dir, err := store.TempDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	f, err := extract(r, dir)
	if err != nil {
		return nil, err
	}
	a := &archive{files: f, store: store}
	if f.has("manifest.json") {
		images, err = a.docker()
	} else {
		images, err = a.layout()
	}
	if err == nil && len(images) == 0 && len(a.others) > 0 {
		return nil, platform.Other("the archive", a.others...)
	}
	return images, err
}

type archive struct {
	files *files
	store *blobs.Store
	// others are the platforms of what was left out.
	others []v1.Platform
}

// suits says whether the image of a configuration runs here, and remembers one that does not.
func (a *archive) suits(config string) (bool, error) {
	data, err := a.files.document(config)
	if err != nil {
		return false, err
	}
	return a.wanted(platform.Of(data)), nil
}

func (a *archive) wanted(p v1.Platform) bool {
	ok := platform.Suits(p)
	if !ok && len(a.others) < maxImages {
		a.others = append(a.others, p)
	}
	return ok
}

// dockerImage is an entry of manifest.json, as docker save writes it.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a *archive) docker() ([]Image, error) {
	data, err := a.files.document("manifest.json")
	if err != nil {
		return nil, err
	}
	var list []dockerImage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, Corrupt(fmt.Errorf("manifest.json: %w", err))
	}
	if len(list) > maxImages {
		return nil, fault.New(fault.Invalid, "archive holds %d images", len(list))
	}
	out := make([]Image, 0, len(list))
	for _, d := range list {
		if ok, err := a.suits(d.Config); err != nil || !ok {
			if err != nil {
				return nil, err
			}
			continue
		}
		manifest, err := a.dockerManifest(d)
		if err != nil {
			return nil, err
		}
		out = append(out, Image{Manifest: manifest, Names: d.RepoTags})
	}
	return out, nil
}

// dockerManifest makes the image manifest that docker save leaves out.
func (a *archive) dockerManifest(d dockerImage) (string, error) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	config, err := a.put(d.Config, types.OCIConfigJSON, "")
	if err != nil {
		return "", err
	}
	m.Config = config
	for _, l := range d.Layers {
		desc, err := a.put(l, "", "")
		if err != nil {
			return "", err
		}
		m.Layers = append(m.Layers, desc)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return a.store.PutBytes(data)
}

// put stores a member; it must have digest if that is given. Without a media type it is a layer.
func (a *archive) put(member string, media types.MediaType, digest string) (v1.Descriptor, error) {
	p, err := a.files.path(member)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if media == "" {
		if media, err = layerType(p); err != nil {
			return v1.Descriptor{}, Corrupt(err)
		}
	}
	in, err := os.Open(p)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer in.Close()
	got, n, err := a.store.Put(in, digest, maxBlob)
	if err != nil {
		return v1.Descriptor{}, Corrupt(fmt.Errorf("%s: %w", member, err))
	}
	h, err := v1.NewHash(got)
	return v1.Descriptor{MediaType: media, Size: n, Digest: h}, err
}

func layerType(path string) (types.MediaType, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", fmt.Errorf("layer: %w", err)
	}
	switch {
	case head[0] == 0x1f && head[1] == 0x8b:
		return types.OCILayer, nil
	case head == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		return types.OCILayerZStd, nil
	}
	return types.OCIUncompressedLayer, nil
}
