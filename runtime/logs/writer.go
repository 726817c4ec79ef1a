package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batch is how much moves from a pipe at a time, in bytes: what a pipe holds.
	batch = 64 << 10
	// punchAfter is how much of a staging file may be stale before its memory is given back.
	punchAfter = 64 << 10
	fileMode   = 0o640
)

// Writer writes the log of one container. It owns the log file, the journal
// and the staging files. It is safe for concurrent use, with one Pump per stream.
type Writer struct {
	log  *slog.Logger
	path string
	pool *Pool

	mu      sync.Mutex
	file    *os.File
	journal *os.File
	state   state
	stages  [nStreams]*stage
	lost    bool // output was dropped, which was said
}

// stage is a staging file. Offsets only grow; memory behind them is given back.
type stage struct {
	stream  Stream
	file    *os.File
	size    int64 // moved in so far
	punched int64
}

// Open opens the log at path (os.DevNull for none), whose journal and staging files are in dir, a
// folder on a tmpfs. After a kill it first puts right what was under way.
func Open(dir, path string, pool *Pool, log *slog.Logger) (*Writer, error) {
	w := &Writer{log: log, path: path, pool: pool}
	if err := w.open(dir); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *Writer) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	if w.journal, err = os.OpenFile(filepath.Join(dir, "journal"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	for i, stream := range []Stream{Stdout, Stderr} {
		if w.stages[i], err = openStage(dir, stream); err != nil {
			return err
		}
	}
	s, found, err := readJournal(w.journal)
	if err != nil {
		return err
	}
	if found {
		return w.recover(s)
	}
	return w.openLog()
}

func openStage(dir string, stream Stream) (*stage, error) {
	f, err := os.OpenFile(filepath.Join(dir, string(stream)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &stage{stream: stream, file: f, size: fi.Size()}, nil
}

// recover cuts the log back to what the journal says and writes what followed
// again, into the file that it belongs to, even if that was renamed meanwhile.
func (w *Writer) recover(s state) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
	if w.path == os.DevNull {
		return w.openLogLocked()
	}
	f, err := findInode(w.path, s.inode)
	if err != nil {
		return err
	}
	if f == nil {
		// The log was removed: begin a new one, with what is not in any.
		return w.openLogLocked()
	}
	w.file = f
	w.shrinkLocked()
	if err := f.Truncate(w.state.size); err != nil {
		return fmt.Errorf("log %s: %w", w.path, err)
	}
	for i := range w.stages {
		w.flushLocked(i, false)
	}
	if fi, err := os.Stat(w.path); err == nil && inode(fi) == s.inode {
		return nil
	}
	return w.openLogLocked()
}

// findInode returns the open log file with that inode, under its name or one
// that a rotation gave it; nil if there is none.
func findInode(path string, want uint64) (*os.File, error) {
	names, err := filepath.Glob(escapeGlob(path) + "*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		fi, err := os.Stat(name)
		if err != nil || inode(fi) != want {
			continue
		}
		return os.OpenFile(name, os.O_RDWR, 0)
	}
	return nil, nil
}

func escapeGlob(path string) string {
	var out []byte
	for _, c := range []byte(path) {
		switch c {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}

func inode(fi fs.FileInfo) uint64 { return fi.Sys().(*syscall.Stat_t).Ino }

func (w *Writer) openLog() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.openLogLocked()
}

// openLogLocked opens the file at path, appends to what it holds, and commits to it.
func (w *Writer) openLogLocked() error {
	if err := os.MkdirAll(filepath.Dir(w.path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(w.path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if w.file != nil {
		w.file.Close()
	}
	w.file = f
	w.state.inode, w.state.size = inode(fi), fi.Size()
	return w.commitLocked()
}

// Reopen goes on in a new file at the log's path, after a rotation renamed the old one.
func (w *Writer) Reopen() error { return w.openLog() }

func (w *Writer) commitLocked() error {
	if _, err := w.journal.WriteAt(w.state.encode(), 0); err != nil {
		return fmt.Errorf("log journal: %w", err)
	}
	return nil
}

// flushLocked formats what is staged and not in the log, and commits. With
// final, an open line is written too.
func (w *Writer) flushLocked(i int, final bool) {
	st := w.stages[i]
	buf := w.pool.get()
	defer w.pool.put(buf)
	for w.state.done[i] < st.size {
		n := min(st.size-w.state.done[i], batch+MaxLine)
		buf.in = grow(buf.in, int(n))
		if _, err := st.file.ReadAt(buf.in, w.state.done[i]); err != nil {
			w.log.Error("cannot read staged output", "log", w.path, "error", err)
			return
		}
		out, used := Format(buf.out[:0], st.stream, time.Now(), buf.in, final && w.state.done[i]+n == st.size)
		buf.out = out
		if used == 0 {
			return
		}
		w.appendLocked(out)
		w.state.done[i] += int64(used)
		if err := w.commitLocked(); err != nil {
			w.log.Error("cannot commit output", "log", w.path, "error", err)
			return
		}
	}
	st.punch(w.state.done[i])
}

// shrinkLocked goes on at the end of a log that somebody has cut: beyond it
// would be a hole.
func (w *Writer) shrinkLocked() {
	fi, err := w.file.Stat()
	if err != nil || !fi.Mode().IsRegular() || fi.Size() >= w.state.size {
		return
	}
	w.state.size = fi.Size()
	// Before anything is appended, so that a kill leaves no line twice.
	if err := w.commitLocked(); err != nil {
		w.log.Error("cannot commit that a log was cut", "log", w.path, "error", err)
	}
}

// appendLocked writes entries. A log that cannot be written loses them: to
// wait would stop the container.
func (w *Writer) appendLocked(entries []byte) {
	w.shrinkLocked()
	_, err := w.file.WriteAt(entries, w.state.size)
	if err == nil {
		w.state.size += int64(len(entries))
		w.lost = false
		return
	}
	if !w.lost {
		w.lost = true
		w.log.Error("container output is being lost", "log", w.path, "error", err)
	}
	if err := w.file.Truncate(w.state.size); err != nil && !errors.Is(err, unix.ENOSPC) {
		w.log.Error("cannot cut a log back", "log", w.path, "error", err)
	}
}

// punch gives back the memory of what is in the log.
func (s *stage) punch(done int64) {
	end := done &^ 4095
	if end-s.punched < punchAfter {
		return
	}
	if unix.Fallocate(int(s.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, s.punched, end-s.punched) == nil {
		s.punched = end
	}
}

// Close closes the files. Output in the pipes and the staging files stays for a later Open.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range []*os.File{w.file, w.journal} {
		if f != nil {
			f.Close()
		}
	}
	for _, s := range w.stages {
		if s != nil {
			s.file.Close()
		}
	}
}

// Finish writes what is staged, open lines included. It is for output whose streams are gone.
func (w *Writer) Finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.stages {
		w.flushLocked(i, true)
	}
}
