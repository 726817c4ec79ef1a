package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Watch copies the server's log to out as it grows, until ctx ends.
func Watch(ctx context.Context, s Settings, out io.Writer) error {
	path := filepath.Join(s.logs(), serviceServer+".log")
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(path); err != nil {
		return err
	}
	for {
		if _, err := io.Copy(out, f); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.Errors:
			return err
		case _, open := <-watcher.Events:
			if !open {
				return errors.New("the server's log is no longer watched")
			}
		}
	}
}
