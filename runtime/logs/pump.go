package logs

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Source moves output into a staging file at an offset. It waits for output,
// and returns io.EOF when there will be none. From the read deadline of its file
// on it moves what is there without waiting, and then returns os.ErrDeadlineExceeded.
type Source interface {
	MoveTo(stage *os.File, at int64) (int64, error)
}

// Pump moves a stream's output into the log until it ends, and calls tap with
// every new piece; tap must not keep it. The error is nil at the output's end.
func (w *Writer) Pump(stream Stream, src Source, tap func([]byte)) error {
	i := 0
	if stream == Stderr {
		i = 1
	}
	st := w.stages[i]
	for {
		n, err := src.MoveTo(st.file, st.size)
		if n > 0 {
			w.moved(i, n, tap)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			w.mu.Lock()
			w.flushLocked(i, true)
			w.mu.Unlock()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

func (w *Writer) moved(i int, n int64, tap func([]byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.stages[i]
	if tap != nil {
		piece := make([]byte, n)
		if _, err := st.file.ReadAt(piece, st.size); err == nil {
			tap(piece)
		}
	}
	st.size += n
	w.flushLocked(i, false)
}

// PipeSource is the read end of a pipe. The file must be non-blocking.
type PipeSource struct{ File *os.File }

// MoveTo waits for output in the pipe and moves it.
func (p PipeSource) MoveTo(stage *os.File, at int64) (int64, error) {
	return spliceWait(p.File, int(stage.Fd()), &at)
}

// spliceWait moves from src, as soon as it has anything, to the descriptor dst.
func spliceWait(src *os.File, dst int, at *int64) (int64, error) {
	raw, err := src.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int64
	var serr error
	move := func(fd uintptr) bool {
		n, serr = splice(int(fd), dst, at)
		return !errors.Is(serr, unix.EAGAIN)
	}
	err = raw.Read(move)
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late {
		err = raw.Control(func(fd uintptr) { move(fd) })
	}
	switch {
	case err != nil:
		return 0, err
	case late && errors.Is(serr, unix.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	case serr != nil:
		return 0, serr
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func splice(src, dst int, at *int64) (int64, error) {
	for {
		n, err := unix.Splice(src, nil, dst, at, batch, unix.SPLICE_F_NONBLOCK)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// TerminalSource is the master of a pseudo-terminal. What is read from it goes
// through a pipe, since the kernel moves only from or to one.
type TerminalSource struct {
	Master *os.File
	// R and W are the ends of the pipe; R must be non-blocking.
	R, W *os.File
}

// MoveTo first takes what an earlier process left in the pipe, then waits for the terminal.
func (t TerminalSource) MoveTo(stage *os.File, at int64) (int64, error) {
	if n, err := t.drain(stage, at); n > 0 || err != nil {
		return n, err
	}
	_, err := spliceWait(t.Master, int(t.W.Fd()), nil)
	// The kernel reports EIO when the last user of a terminal has closed it.
	if errors.Is(err, unix.EIO) {
		err = io.EOF
	}
	if err != nil {
		return 0, err
	}
	return t.drain(stage, at)
}

func (t TerminalSource) drain(stage *os.File, at int64) (int64, error) {
	var n int64
	var err error
	raw, rerr := t.R.SyscallConn()
	if rerr != nil {
		return 0, rerr
	}
	rerr = raw.Control(func(fd uintptr) { n, err = splice(int(fd), int(stage.Fd()), &at) })
	switch {
	case rerr != nil:
		return 0, rerr
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	}
	return n, err
}

// Drained returns whether done was closed within grace: a descendant that
// outlived its container may hold the pipes open for ever.
func Drained(done <-chan struct{}, grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
