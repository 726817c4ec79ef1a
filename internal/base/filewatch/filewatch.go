// Package filewatch follows a file that people and tools replace while the
// program runs.
//
// It watches the file's directory, since most writers put a new file in the
// place of the old one, and tells only of content that differs from what was
// there before. It holds no state between two calls.
package filewatch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// MaxSize bounds what is read, in bytes.
const MaxSize = 4 << 20

// Read is the file's content. A file over MaxSize is refused.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s is over %d bytes", path, MaxSize)
	}
	return data, nil
}

// Follow calls changed with the file's content whenever it has become
// another than known, which is what the caller read last, until ctx ends. A
// file that is away, empty or unreadable for a moment changes nothing. It
// fails where the directory cannot be watched.
func Follow(ctx context.Context, path string, known []byte, changed func(content []byte)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch the folder of %s: %w", path, err)
	}
	for {
		// Looked at before the first event too: it may have changed since the
		// caller read it.
		if content, err := Read(path); err == nil && len(content) > 0 && !bytes.Equal(content, known) {
			known = content
			changed(content)
		}
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-watcher.Events:
			if !ok {
				return nil
			}
		case _, ok := <-watcher.Errors: // events were lost: look again
			if !ok {
				return nil
			}
		}
	}
}
