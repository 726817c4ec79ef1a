// Package image owns the images of a node: what they are called, what they
// consist of, and which layers are unpacked. Blobs and snapshots that no image
// and no container needs are removed with the last image that needed them.
package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/blobs"
	"github.com/knarr-io/knarr/runtime/image/platform"
	"github.com/knarr-io/knarr/runtime/image/snapshots"
)

const (
	maxManifest = 8 << 20
	maxConfig   = 8 << 20
	maxLayers   = 512
)

// Image is an image of the node. It is immutable: changes make a new one.
type Image struct {
	// ID is the digest of the configuration.
	ID string `json:"id"`
	// Tags and Digests are normalised references, such as docker.io/library/nginx:1.27.
	Tags    []string `json:"tags,omitempty"`
	Digests []string `json:"digests,omitempty"`
	// Manifest is the digest of the image manifest.
	Manifest string  `json:"manifest"`
	Layers   []Layer `json:"layers"`
	// Size is the size of the image's blobs in bytes.
	Size int64 `json:"size"`
	// Config is what the image says about running it.
	Config v1.Config `json:"config"`
	// Tagged is when a name was last given to the image.
	Tagged time.Time `json:"tagged"`
}

// Layer is one layer of an image.
type Layer struct {
	Digest  string `json:"digest"`
	DiffID  string `json:"diffID"`
	ChainID string `json:"chainID"`
	Size    int64  `json:"size"`
	// Unpacked is the size of the layer's files in bytes; zero if another image brought them.
	Unpacked int64 `json:"unpacked,omitempty"`
}

// ChainIDs returns the chain IDs of the layers, bottom first.
func (i *Image) ChainIDs() []string {
	out := make([]string, len(i.Layers))
	for n, l := range i.Layers {
		out[n] = l.ChainID
	}
	return out
}

func (i *Image) clone() *Image {
	c := *i
	c.Tags = slices.Clone(i.Tags)
	c.Digests = slices.Clone(i.Digests)
	return &c
}

func (i *Image) names() []string { return append(slices.Clone(i.Tags), i.Digests...) }

// describe reads an image's manifest and configuration, which came from a stranger.
func describe(store *blobs.Store, manifest string) (*Image, error) {
	raw, err := store.Read(manifest, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fault.New(fault.Invalid, "manifest %s: %w", manifest, err)
	}
	if m.Config.Size > maxConfig || len(m.Layers) > maxLayers {
		return nil, fault.New(fault.Invalid, "manifest %s: too large", manifest)
	}
	raw, err = store.Read(m.Config.Digest.String(), maxConfig)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var c v1.ConfigFile
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fault.New(fault.Invalid, "configuration %s: %w", m.Config.Digest, err)
	}
	if p := platform.Of(raw); !platform.Suits(p) {
		return nil, platform.Other("the image", p)
	}
	img := &Image{ID: m.Config.Digest.String(), Manifest: manifest, Config: c.Config, Size: int64(len(raw))}
	return img, img.setLayers(m.Layers, c.RootFS.DiffIDs)
}

func (i *Image) setLayers(descs []v1.Descriptor, diffs []v1.Hash) error {
	if len(descs) != len(diffs) {
		return fault.New(fault.Invalid, "image %s: manifest has %d layers, configuration %d", i.ID, len(descs), len(diffs))
	}
	diffIDs := make([]string, len(diffs))
	for n, d := range diffs {
		diffIDs[n] = d.String()
		if _, err := blobs.Hex(diffIDs[n]); err != nil {
			return fault.As(fault.Invalid, err)
		}
	}
	for n, chain := range snapshots.ChainIDs(diffIDs) {
		d := descs[n]
		if _, err := blobs.Hex(d.Digest.String()); err != nil {
			return fault.As(fault.Invalid, err)
		}
		i.Layers = append(i.Layers, Layer{Digest: d.Digest.String(), DiffID: diffIDs[n], ChainID: chain, Size: d.Size})
		i.Size += d.Size
	}
	return nil
}
