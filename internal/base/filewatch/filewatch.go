// Package filewatch follows files that people and tools replace while the
// program runs.
//
// It watches a file's directory, since most writers put a new file in the
// place of the old one, and that of the file which a link leads to. It holds no
// state between two calls.
package filewatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	return Watch(ctx, []string{path}, func() {
		if content, err := Read(path); err == nil && len(content) > 0 && !bytes.Equal(content, known) {
			known = content
			changed(content)
		}
	})
}

// Watch calls look when it has begun to watch the files, since they may have
// changed before, and whenever something has changed beside one of them,
// until ctx ends. It fails where none of their directories can be watched; one
// that is not there yet, or goes later, is awaited.
func Watch(ctx context.Context, paths []string, look func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", strings.Join(paths, ", "), err)
	}
	defer watcher.Close()
	if err := around(watcher, paths, watcher.Add); err != nil {
		return err
	}
	for {
		if err := around(watcher, paths, func(dir string) error { return await(watcher, dir) }); err != nil {
			return err
		}
		look()
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

// around watches the directories in which the files lie now, as named and as
// what links lead to. What is watched already is no error.
func around(watcher *fsnotify.Watcher, paths []string, watch func(dir string) error) error {
	var failed []error
	for _, path := range paths {
		if err := watch(filepath.Dir(path)); err != nil {
			failed = append(failed, fmt.Errorf("watch the folder of %s: %w", path, err))
		}
		if target := targetOf(path); filepath.Dir(target) != filepath.Dir(path) {
			_ = await(watcher, filepath.Dir(target)) // the link itself is watched, at least
		}
	}
	if len(failed) < len(paths) {
		return nil
	}
	return errors.Join(failed...)
}

// maxLinks bounds how many links are followed to what is not there.
const maxLinks = 16

// targetOf is the file that a path leads to, also where that is not there yet.
func targetOf(path string) string {
	for range maxLinks {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			return target
		}
		next, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil && !filepath.IsAbs(next) {
			next = filepath.Join(dir, next)
		}
		path = next
	}
	return path
}

// await watches a directory, or where it is not there the next one above, which
// tells when it comes.
func await(watcher *fsnotify.Watcher, dir string) error {
	for {
		err := watcher.Add(dir)
		above := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || above == dir {
			return err
		}
		if err := await(watcher, above); err != nil {
			return err
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		} // it has come before the other was watched
	}
}
