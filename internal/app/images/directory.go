package images

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
)

// Directory is the archive of a folder that holds images as a file would: an
// OCI layout, or what docker save writes, unpacked. Who reads to its end has
// the whole of it; Close ends it early.
func Directory(path string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if !holds(root, "index.json") && !holds(root, "manifest.json") {
		root.Close()
		return nil, fmt.Errorf("folder %s holds no images: it has neither index.json (an OCI layout) nor manifest.json (docker save)", path)
	}
	r, w := io.Pipe()
	go func() {
		defer root.Close()
		out := tar.NewWriter(w)
		err := out.AddFS(root.FS())
		if err == nil {
			err = out.Close()
		}
		w.CloseWithError(err)
	}()
	return r, nil
}

func holds(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
