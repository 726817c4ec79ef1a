package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nodePrograms are the files of Debian's packages that a node needs, with the
// folder that each goes to.
var nodePrograms = []struct {
	files  *regexp.Regexp
	folder string
}{
	{regexp.MustCompile(`^usr/s?bin/(containerd|containerd-shim-runc-v2|ctr|runc)$`), "bin"},
	{regexp.MustCompile(`^usr/lib/cni/(ptp|host-local|loopback)$`), "cni"},
	{regexp.MustCompile(`^usr/lib/[^/]+/libseccomp\.so\.2[0-9.]*$`), "lib"},
}

// unpackPrograms takes them out of the archive of an image.
func unpackPrograms(archive, dir string) error {
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return fmt.Errorf("read the programs of upstream's node: %w", err)
	}
	content := mutate.Extract(image)
	defer content.Close()
	in := tar.NewReader(content)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", archive, err)
		}
		if err := unpackProgram(in, h, dir); err != nil {
			return err
		}
	}
}

func unpackProgram(in io.Reader, h *tar.Header, dir string) error {
	for _, p := range nodePrograms {
		link := h.Typeflag == tar.TypeSymlink
		if !p.files.MatchString(path.Clean(h.Name)) || link && path.Base(h.Linkname) == path.Base(h.Name) { // in another folder
			continue
		}
		to := filepath.Join(dir, p.folder, path.Base(h.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if link {
			return os.Symlink(path.Base(h.Linkname), to)
		}
		f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, in)
		return errors.Join(err, f.Close())
	}
	return nil
}
