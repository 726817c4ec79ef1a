// Command image builds container images without a container engine: from
// Debian packages (fetched with apt, unpacked without running their scripts),
// Go programs and plain files, as a short YAML description says. It writes
// archives that `knarr image import` reads.
//
//	go run ./tools/image -out bin/images examples/hello/image.yaml
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	out := flag.String("out", "bin/images", "folder for the archives")
	cache := flag.String("cache", ".cache/debs", "folder for downloaded packages")
	flag.Parse()
	if err := run(*out, *cache, flag.Args()); err != nil {
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
	img, err := assemble(d, filepath.Dir(file), cache)
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
