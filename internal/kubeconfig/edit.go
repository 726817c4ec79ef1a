package kubeconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxFile bounds what is read: a kubeconfig of thousands of clusters fits.
const maxFile = 8 << 20

// lockRetry is the pause between tries at a lock that another process holds;
// a lock file tells nobody when it goes.
const lockRetry = 20 * time.Millisecond

// staleLock is how long one and the same lock file is waited for: programs hold
// it for a moment, and one that was killed meanwhile leaves it for good.
const staleLock = time.Minute

// edit replaces the target's content by what change makes of it; nil content
// removes the file. Nothing is written where nothing changed.
func edit(ctx context.Context, t Target, change func(data []byte, exists bool) ([]byte, error)) (err error) {
	path, err := resolve(t.Path)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	if err := makeDirs(t, filepath.Dir(path)); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	unlock, err := lock(ctx, t.Path)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old, info, err := read(path)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	content, err := change(old, info != nil)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	switch {
	case content == nil:
		return os.Remove(path)
	case info != nil && bytes.Equal(old, content):
		return nil
	}
	if err := replace(t, path, info, content); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return nil
}

// read gives the content; info is nil where there is no file.
func read(path string) ([]byte, os.FileInfo, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return data, info, err
}

// replace writes a new file beside the old one and renames it into place.
func replace(t Target, path string, old os.FileInfo, content []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(content)
	if err == nil {
		err = giveTo(t, tmp, path, old)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// giveTo sets the owner: the person for what lies in their home, else whoever
// owned the file before.
func giveTo(t Target, f *os.File, path string, old os.FileInfo) error {
	if t.owns(path) {
		return f.Chown(t.UID, t.GID)
	}
	if old == nil {
		return nil
	}
	if stat, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return f.Chown(int(stat.Uid), int(stat.Gid))
	}
	return nil
}

// makeDirs makes missing directories, owned by the person.
func makeDirs(t Target, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDirs(t, filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if t.owns(dir) {
		return os.Chown(dir, t.UID, t.GID)
	}
	return nil
}

// lock takes the lock file that kubectl and client-go use.
func lock(ctx context.Context, path string) (unlock func() error, err error) {
	name := path + ".lock"
	var held holder
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0)
		if err == nil {
			return func() error { return os.Remove(name) }, f.Close()
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		if held.isDead(name) {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			continue
		}
		timer := time.NewTimer(lockRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("another program holds %s (remove it if none does): %w", name, ctx.Err())
		case <-timer.C:
		}
	}
}

// holder is who holds a lock that is waited for, known by the file.
type holder struct {
	file  os.FileInfo
	since time.Time
}

// isDead looks at the lock file, and tells that it has been the same one for
// longer than anybody holds it.
func (h *holder) isDead(name string) bool {
	now, err := os.Lstat(name)
	if err != nil {
		h.file = nil // it was let go
		return false
	}
	if h.file == nil || !os.SameFile(now, h.file) || !now.ModTime().Equal(h.file.ModTime()) {
		h.file, h.since = now, time.Now()
	}
	return time.Since(h.since) >= staleLock
}
