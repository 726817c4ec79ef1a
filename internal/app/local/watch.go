package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/knarr-io/knarr/internal/app/keep"
)

// ErrTakenDown: the cluster that was watched is no longer there.
var ErrTakenDown = errors.New("the cluster was taken down")

// Watch copies the log of the server, or of the agent of a machine that joined
// a cluster, to out as it grows, from its end as it is now. It returns nil when
// ctx ends, and ErrTakenDown after somebody else's Down.
func Watch(ctx context.Context, s Settings, out io.Writer) error {
	service := serviceServer
	if s.isAgent() {
		service = serviceAgent
	}
	path := filepath.Join(s.logs(), service+".log")
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := errors.Join(watcher.Add(path), watcher.Add(s.RunDir)); err != nil {
		return err
	}
	for {
		if err := copyGrown(out, f); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.Errors:
			return err
		case event, open := <-watcher.Events:
			if !open {
				return errors.New("the server's log is no longer watched")
			}
			if event.Has(fsnotify.Remove) && s.takenDown(ctx) {
				return ErrTakenDown
			}
		}
	}
}

// takenDown tells whether Down has got to its end: nobody supervises, and the
// folder of sockets is gone.
func (s Settings) takenDown(ctx context.Context) bool {
	_, err := (keep.Client{Socket: s.keepSocket()}).List(ctx)
	_, gone := os.Stat(s.RunDir)
	return err != nil && errors.Is(gone, fs.ErrNotExist)
}

// copyGrown copies what was written to f since. A file that is shorter than
// what was read of it was emptied, and is read from its start.
func copyGrown(out io.Writer, f *os.File) error {
	read, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() < read {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(out, f)
	return err
}
