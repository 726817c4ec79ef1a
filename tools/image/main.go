// Command image builds container images without a container engine: from
// Debian packages (fetched with apt, unpacked without running their scripts),
// Go programs and plain files, as a short YAML description says. It writes
// archives that `knarr image import` reads, or one OCI image layout that a
// registry can serve.
//
//	go run ./tools/image -out bin/images examples/hello/image.yaml
//	go run ./tools/image -layout bin/conformance/images test/conformance/images/*.yaml
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	out := flag.String("out", "bin/images", "folder for the archives")
	cache := flag.String("cache", ".cache/debs", "folder for downloaded packages")
	layout := flag.String("layout", "", "folder of an OCI image layout, to be written instead of archives")
	flag.Parse()
	build := run
	if *layout != "" {
		*out, build = *layout, runLayout
	}
	if err := build(*out, *cache, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(out, cache string, files []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := buildOne(out, cache, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func runLayout(dir, cache string, files []string) error {
	path, err := openLayout(dir)
	if err != nil {
		return fmt.Errorf("open the layout: %w", err)
	}
	for _, file := range files {
		if err := addToLayout(path, cache, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return collect(path)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// buildOne makes the archive of one description, unless it is newer than the
// description and everything that goes into it.
func buildOne(out, cache, file string) error {
	d, err := readDescription(file)
	if err != nil {
		return err
	}
	archive := filepath.Join(out, d.archiveName())
	if d.fresh(archive, file) {
		return nil
	}
	built, err := d.buildOwn(filepath.Dir(file))
	if err != nil {
		return err
	}
	if err := d.addForeign(filepath.Dir(file), built); err != nil {
		return err
	}
	img, err := assemble(empty.Image, d, built, cache, compressed)
	if err != nil {
		return err
	}
	ref, err := name.NewTag(d.Name)
	if err != nil {
		return err
	}
	tmp := archive + ".tmp"
	if err := tarball.WriteToFile(tmp, ref, img); err != nil {
		return err
	}
	fmt.Println("built", archive)
	return os.Rename(tmp, archive)
}
