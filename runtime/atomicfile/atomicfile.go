// Package atomicfile writes small files so that a reader sees the old content
// or the new, never a mixture: also after a kill in the middle. After a power
// cut a file may be missing, old, or fail its checksum; then Read says so.
package atomicfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// MaxSize bounds what Read reads, in bytes.
const MaxSize = 16 << 20

// tmpPrefix begins the names of files that are being written.
const tmpPrefix = ".tmp-"

// Sweep removes what killed writers left in dir. Nobody may be writing there.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, tmpPrefix+"*"))
	for _, f := range left {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// ErrCorrupt says that a file is not what was written.
var ErrCorrupt = errors.New("file is corrupt")

// WriteJSON writes v to path with mode 0600. With sync it survives a power cut.
func WriteJSON(path string, v any, sync bool) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("%08x\n", crc32.ChecksumIEEE(data))
	return write(path, append([]byte(head), data...), sync)
}

func write(path string, data []byte, sync bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), tmpPrefix+"*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil && sync {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return err
	}
	if sync {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// ReadJSON reads path into v. The error is os.ErrNotExist or ErrCorrupt where that is the reason.
func ReadJSON(path string, v any) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Size() > MaxSize {
		return fmt.Errorf("%s: %w: too large", path, ErrCorrupt)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok || string(head) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) {
		return fmt.Errorf("%s: %w", path, ErrCorrupt)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrCorrupt, err)
	}
	return nil
}
