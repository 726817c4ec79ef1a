// Package payload carries the programs that run on a node beside knarr
// itself: knarr-keep, knarr-runtime and their helpers, built from the module
// in runtime/ before knarr and embedded into it. A placeholder keeps the
// package building without them.
package payload

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

//go:embed bin
var files embed.FS

// errMissing: this knarr was built without the programs of a node.
var errMissing = errors.New("this knarr was built without its container runtime: build it with `make`")

// placeholder keeps the folder in a checkout where nothing was built.
const placeholder = "PLACEHOLDER"

// folderID is how many bytes name a folder of programs; temporary begins the
// names of what is not whole yet.
const (
	folderID  = 8
	temporary = ".new-"
)

// Unpack writes the programs into a folder below dir that is named after
// their content, unless it is there already, and returns that folder.
func Unpack(dir string) (string, error) {
	entries, err := files.ReadDir("bin")
	if err != nil {
		return "", err
	}
	content := map[string][]byte{}
	digest := sha256.New()
	for _, e := range entries {
		if e.Name() == placeholder {
			continue
		}
		data, err := files.ReadFile("bin/" + e.Name())
		if err != nil {
			return "", err
		}
		content[e.Name()] = data
		// The size and the head and tail tell builds apart at a fraction of
		// the cost of reading everything: each holds its build id.
		fmt.Fprintf(digest, "%s %d ", e.Name(), len(data))
		digest.Write(data[:min(len(data), 64<<10)])
		digest.Write(data[max(0, len(data)-64<<10):])
	}
	if len(content) == 0 {
		return "", errMissing
	}
	folder := filepath.Join(dir, hex.EncodeToString(digest.Sum(nil)[:folderID]))
	return folder, ensure(folder, content)
}

// ensure makes the folder unless it is there. What a power cut left of it is
// made anew: nobody waited for the disk when it was made.
func ensure(folder string, content map[string][]byte) error {
	if _, err := os.Stat(folder); err == nil {
		damaged := false
		for name, data := range content {
			damaged = damaged || !hasSize(filepath.Join(folder, name), int64(len(data)))
		}
		if !damaged {
			return nil
		}
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("unpack the programs of a node: %w", err)
		}
	}
	return write(folder, content)
}

// hasSize tells that a file is there and of that size, in bytes.
func hasSize(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == size
}

// write makes the folder whole or not at all.
func write(folder string, content map[string][]byte) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return fmt.Errorf("unpack the programs of a node: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(folder), temporary)
	if err != nil {
		return fmt.Errorf("unpack the programs of a node: %w", err)
	}
	defer os.RemoveAll(tmp)
	var failed errorList
	var all sync.WaitGroup
	for name, data := range content {
		all.Go(func() { failed.add(os.WriteFile(filepath.Join(tmp, name), data, 0o755)) })
	}
	all.Wait()
	failed.add(os.Chmod(tmp, 0o755))
	if err := failed.join(); err != nil {
		return fmt.Errorf("unpack the programs of a node: %w", err)
	}
	if err := os.Rename(tmp, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("unpack the programs of a node: %w", err)
	}
	return nil
}

type errorList struct {
	mu  sync.Mutex
	all []error
}

func (l *errorList) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, err)
}

func (l *errorList) join() error { return errors.Join(l.all...) }
