package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// annotationName is the OCI image layout's key for a reference.
	annotationName = "org.opencontainers.image.ref.name"
	// annotationInputs is our key for the hash of what an image was made of.
	annotationInputs = "io.knarr.image.inputs"
	// layoutFormat changes when the same inputs give another image.
	layoutFormat = "1"
)

// openLayout opens an OCI image layout, and makes it where it is missing.
func openLayout(dir string) (layout.Path, error) {
	path, err := layout.FromPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return layout.Write(dir, empty.Index)
	}
	return path, err
}

// addToLayout makes the image of one description in the layout under all of
// its names, unless what is there was made of the same.
func addToLayout(path layout.Path, cache, file string) error {
	d, err := readDescription(file)
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	built, err := d.buildOwn(dir)
	if err != nil {
		return err
	}
	inputs, err := d.inputs(file, built)
	if err != nil {
		return err
	}
	if present(path, d, inputs) {
		return nil
	}
	if err := d.addForeign(dir, built); err != nil {
		return err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := assemble(base, d, built, cache, plain)
	if err != nil {
		return err
	}
	for _, alias := range d.names() {
		ref, err := name.NewTag(alias)
		if err != nil {
			return err
		}
		err = path.ReplaceImage(img, match.Name(alias), layout.WithAnnotations(map[string]string{annotationName: ref.String(), annotationInputs: inputs}))
		if err != nil {
			return err
		}
		fmt.Println("built", alias)
	}
	return nil
}

func (d *description) names() []string { return append([]string{d.Name}, d.Aliases...) }

// plain makes a layer that is not compressed: it never goes over a wire.
func plain(archive []byte) (v1.Layer, error) {
	return static.NewLayer(archive, types.OCIUncompressedLayer), nil
}

// inputs is a hash of all that the image is made of. What other modules bring
// is told by the files that pin them.
func (d *description) inputs(file string, built programs) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, layoutFormat)
	files := map[string]bool{file: true}
	for _, source := range d.Modules {
		dir := filepath.Join(filepath.Dir(file), source.Dir)
		files[filepath.Join(dir, "go.mod")], files[filepath.Join(dir, "go.sum")] = true, true
	}
	for _, name := range sorted(files) {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%d %s", len(data), data)
	}
	for _, path := range sorted(built) {
		fmt.Fprintf(sum, "%s %x", path, sha256.Sum256(built[path].data))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// present tells whether the layout has the image under all names.
func present(path layout.Path, d *description, inputs string) bool {
	index, err := path.ImageIndex()
	if err != nil {
		return false
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return false
	}
	made := map[string]string{}
	for _, m := range manifest.Manifests {
		made[m.Annotations[annotationName]] = m.Annotations[annotationInputs]
	}
	for _, alias := range d.names() {
		if made[alias] != inputs {
			return false
		}
	}
	return true
}

// collect removes from the layout what no image needs any longer.
func collect(path layout.Path) error {
	garbage, err := path.GarbageCollect()
	if err != nil {
		return err
	}
	for _, digest := range garbage {
		if err := path.RemoveBlob(digest); err != nil {
			return err
		}
	}
	return nil
}
