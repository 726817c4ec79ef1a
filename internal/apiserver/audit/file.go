package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/apiserver/pkg/audit"
	auditlog "k8s.io/apiserver/plugin/pkg/audit/log"
)

// FileOptions say where events are written, one JSON object per line.
type FileOptions struct {
	// Path is the file; "-" is standard output; empty: no file.
	Path string
	// MaxSize in megabytes, from which the file is put aside; zero: 100.
	MaxSize int
	// MaxBackups files are kept, for MaxAge days; zero: without bound.
	MaxBackups, MaxAge int
	// Compress packs files that were put aside.
	Compress bool
}

// openFile opens the file once, so that a place that cannot be written to
// stops the start and not the first request.
func openFile(o FileOptions) (audit.Backend, error) {
	if o.MaxSize < 0 || o.MaxBackups < 0 || o.MaxAge < 0 {
		return nil, errors.New("the audit log's size, backups and age cannot be negative")
	}
	if o.Path == "-" {
		return auditlog.NewBackend(os.Stdout, auditlog.FormatJson, groupVersion), nil
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the audit log: %w", err)
	}
	f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	out := &lumberjack.Logger{Filename: o.Path, MaxSize: o.MaxSize, MaxBackups: o.MaxBackups, MaxAge: o.MaxAge, Compress: o.Compress}
	return file{Backend: auditlog.NewBackend(out, auditlog.FormatJson, groupVersion), out: out}, nil
}

// file closes what it writes to.
type file struct {
	audit.Backend
	out io.Closer
}

// Shutdown implements audit.Backend.
func (f file) Shutdown() {
	f.Backend.Shutdown()
	_ = f.out.Close() // everything was written, nothing is buffered
}
