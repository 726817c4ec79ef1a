package disk

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logFS keeps errors of the write-ahead log away from Pebble, which would end
// the process, or panic while it gives up locks that it does not hold: beyond
// recovery. The first such error fails the store; the goroutine that met it
// stays where it is (see pebbleLog.Fatalf). Before the store is open errors
// pass through, so that Open returns them.
type logFS struct {
	vfs.FS
	open atomic.Bool
	fail func(error)
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// stay returns only where there is no error, or the store is not open yet.
func (fs *logFS) stay(what string, err error) error {
	if err == nil || !fs.open.Load() {
		return err
	}
	fs.fail(fmt.Errorf("%s: %w", what, err))
	select {}
}

// Create makes a file.
func (fs *logFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.wrap(name, f, err)
}

// ReuseForWrite makes a file of an old one.
func (fs *logFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return fs.wrap(newname, f, err)
}

// OpenDir opens a directory to sync it.
func (fs *logFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &logFile{File: f, fs: fs, name: name}, nil
}

// Unwrap is the file system below.
func (fs *logFS) Unwrap() vfs.FS { return fs.FS }

func (fs *logFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if !isLog(name) {
		return f, err
	}
	if err := fs.stay("making "+name, err); err != nil {
		return nil, err
	}
	return &logFile{File: f, fs: fs, name: name}, nil
}

// logFile is the write-ahead log or a directory.
type logFile struct {
	vfs.File
	fs   *logFS
	name string
}

func (f *logFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.fs.stay("writing "+f.name, err)
}

func (f *logFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.fs.stay("writing "+f.name, err)
}

func (f *logFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	return info, f.fs.stay("reading "+f.name, err)
}

func (f *logFile) Sync() error { return f.fs.stay("syncing "+f.name, f.File.Sync()) }

func (f *logFile) SyncData() error { return f.fs.stay("syncing "+f.name, f.File.SyncData()) }

func (f *logFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.fs.stay("syncing "+f.name, err)
}

func (f *logFile) Close() error { return f.fs.stay("closing "+f.name, f.File.Close()) }
