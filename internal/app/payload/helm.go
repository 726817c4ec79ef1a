package payload

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed helm
var helm embed.FS

// helmFile is Helm's program within the folder, as gzip wrote it.
const helmFile = "helm/knarr-helm.gz"

// maxHelm bounds what the compressed program may become, in bytes.
const maxHelm = 1 << 30

// errNoHelm: this knarr was built without Helm.
var errNoHelm = errors.New("this knarr was built without Helm: build it with `make`")

// Helm puts Helm's program into dir, unless it is there already, and returns
// its path. Programs that other builds of knarr left in dir are removed. It is
// safe to call from several processes at once. A build without Helm is an error.
func Helm(dir string) (string, error) {
	packed, err := helm.ReadFile(helmFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoHelm
	} else if err != nil {
		return "", err
	}
	return unpackHelm(packed, dir)
}

func unpackHelm(packed []byte, dir string) (string, error) {
	target := filepath.Join(dir, "helm-"+packedName(packed))
	if len(packed) >= 4 {
		// Gzip ends with the size of its content. A power cut may leave less.
		size := binary.LittleEndian.Uint32(packed[len(packed)-4:])
		if info, err := os.Stat(target); err == nil && uint32(info.Size()) == size {
			return target, nil
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for Helm: %w", err)
	}
	former, err := filepath.Glob(filepath.Join(dir, "helm-*"))
	if err != nil {
		return "", fmt.Errorf("look for former programs in %s: %w", dir, err)
	}
	if err := gunzip(packed, target); err != nil {
		return "", fmt.Errorf("unpack Helm: %w", err)
	}
	for _, old := range former {
		if old != target {
			_ = os.Remove(old) // only space is lost where it stays
		}
	}
	return target, nil
}

// packedName tells builds apart without reading all: gzip ends with the
// checksum of its content.
func packedName(packed []byte) string {
	const end = 64 << 10
	sum := sha256.Sum256(packed[max(0, len(packed)-end):])
	return fmt.Sprintf("%x-%x", len(packed), sum[:8])
}

// gunzip makes the file whole or not at all.
func gunzip(packed []byte, target string) error {
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(target), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, io.LimitReader(in, maxHelm))
	if err := errors.Join(err, in.Close(), out.Chmod(0o700), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), target)
}
