package supervisor

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rotateAt    = 10 << 20
	rotateKeep  = 3
	rotatePause = 10 * time.Second
)

// rotator bounds log files that services write by themselves, so that a
// service outlives keep. The kernel says when a file is written; then the file
// is looked at, at most once in rotatePause, and not at all while it is quiet.
type rotator struct {
	log   *slog.Logger
	inot  *os.File
	limit int64

	mu    sync.Mutex
	paths map[int32]string
}

func newRotator(log *slog.Logger) (*rotator, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	r := &rotator{log: log, inot: os.NewFile(uintptr(fd), "inotify"), limit: rotateAt, paths: map[int32]string{}}
	go r.loop()
	return r, nil
}

// watch begins to watch path. Watching it again does no harm.
func (r *rotator) watch(path string) {
	if path == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	wd, err := unix.InotifyAddWatch(int(r.inot.Fd()), path, unix.IN_MODIFY|unix.IN_ONESHOT)
	if err != nil {
		r.log.Warn("log file is not bounded", "path", path, "error", err)
		return
	}
	r.paths[int32(wd)] = path
}

func (r *rotator) unwatch(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for wd, p := range r.paths {
		if p == path {
			delete(r.paths, wd)
			_, _ = unix.InotifyRmWatch(int(r.inot.Fd()), uint32(wd))
		}
	}
}

func (r *rotator) loop() {
	var buf [4096]byte
	for {
		n, err := r.inot.Read(buf[:])
		if err != nil {
			return
		}
		for off := 0; off+unix.SizeofInotifyEvent <= n; {
			wd := int32(buf[off]) | int32(buf[off+1])<<8 | int32(buf[off+2])<<16 | int32(buf[off+3])<<24
			mask := uint32(buf[off+4]) | uint32(buf[off+5])<<8 | uint32(buf[off+6])<<16 | uint32(buf[off+7])<<24
			if mask&unix.IN_MODIFY != 0 {
				r.written(wd)
			}
			off += unix.SizeofInotifyEvent + int(buf[off+12])
		}
	}
}

// written looks at the file and arms its watch again after a pause.
func (r *rotator) written(wd int32) {
	r.mu.Lock()
	path, ok := r.paths[wd]
	delete(r.paths, wd)
	r.mu.Unlock()
	if !ok {
		return
	}
	time.AfterFunc(rotatePause, func() {
		if err := rotate(path, r.limit); err != nil {
			r.log.Warn("cannot rotate log", "path", path, "error", err)
		}
		r.watch(path)
	})
}

// rotate copies a file that has grown past limit aside and empties it. Its
// writer appends and need not know. Lines written between the last read and
// the truncation are lost.
func rotate(path string, limit int64) error {
	fi, err := os.Stat(path)
	if err != nil || fi.Size() < limit {
		return err
	}
	for i := rotateKeep - 1; i > 1; i-- {
		_ = os.Rename(fmt.Sprintf("%s.%d", path, i-1), fmt.Sprintf("%s.%d", path, i))
	}
	in, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return in.Truncate(0)
}
