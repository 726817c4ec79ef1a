package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Options select what of a log is read.
type Options struct {
	// Tail is the number of last lines; negative for all.
	Tail       int64
	Since      time.Time
	Timestamps bool
	// Limit is the number of bytes to write; zero for no limit.
	Limit int64
	// Stream is stdout or stderr; empty for both.
	Stream string
	Follow bool
	// Ended is closed once the container has ended; a followed log is over
	// when it was read to its end after that. Needed with Follow.
	Ended <-chan struct{}
	// Changes tells what is added to a followed log. Needed with Follow.
	Changes *Changes
}

// Read writes a container's log, of which path is the current file, to out,
// and flushes after each batch of lines. It returns when the log is at its
// end, or the limit reached, or when ctx ends.
func Read(ctx context.Context, path string, o Options, out io.Writer, flush func()) error {
	r := &reader{path: path, opts: o, out: out, flush: flush}
	if o.Follow {
		return done(r.follow(ctx))
	}
	last, _ := os.Stat(path) // what is begun after it is not asked for
	f, offset, err := r.begin()
	for f != nil && err == nil {
		var next *os.File
		if next, err = r.present(ctx, f, offset, last); err == nil {
			flush()
		}
		f.Close()
		f, offset = next, 0
	}
	return done(err)
}

var errLimit = errors.New("the limit of bytes is reached")

func done(err error) error {
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

type reader struct {
	path    string
	opts    Options
	out     io.Writer
	flush   func()
	written int64
	// within is set while a line's first part was written and its end was not:
	// the end gets no time stamp of its own.
	within map[string]bool
	// head is what the file that is read began with at first.
	head []byte
}

// present copies one file to its present end and gives the file after it; nil
// after the last.
func (r *reader) present(ctx context.Context, f *os.File, offset int64, last os.FileInfo) (next *os.File, err error) {
	if offset, err = r.copy(ctx, f, offset); err != nil {
		return nil, err
	}
	if is, err := f.Stat(); err != nil || last != nil && os.SameFile(is, last) {
		return nil, err
	}
	return r.move(ctx, f, offset)
}

// move gives the file after f, and before that copies what was still added to f.
func (r *reader) move(ctx context.Context, f *os.File, offset int64) (next *os.File, err error) {
	if next, err = after(r.path, f); next == nil || err != nil {
		return nil, err
	}
	if _, err = r.copy(ctx, f, offset); err != nil {
		next.Close()
		return nil, err
	}
	r.head = nil
	return next, nil
}

// copy writes the records of f from offset and returns where the last whole
// one ended.
func (r *reader) copy(ctx context.Context, f *os.File, offset int64) (int64, error) {
	if r.emptied(f, offset) {
		offset = 0 // the runtime goes on at its beginning
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return offset, err
	}
	in := bufio.NewReaderSize(f, tailBlock)
	for ctx.Err() == nil {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			// No record is that long: it is not ours to show.
			offset += int64(len(line))
			continue
		}
		if errors.Is(err, io.EOF) {
			return offset, nil // a line that is still being written is read later
		}
		if err != nil {
			return offset, err
		}
		offset += int64(len(line))
		if err := r.record(line); err != nil {
			return offset, err
		}
	}
	return offset, ctx.Err()
}

// headSize is enough to tell beginnings of logs apart: they have a time.
const headSize = 64

// emptied tells that somebody has emptied the file since it was read up to
// offset. One that is merely cut back, as by a runtime that puts right what a
// kill left, will be as long again.
func (r *reader) emptied(f *os.File, offset int64) bool {
	is, err := f.Stat()
	shorter := err == nil && is.Size() < offset
	if !shorter && len(r.head) == headSize {
		return false
	}
	head := make([]byte, headSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	same := min(n, len(r.head))
	if shorter && n > 0 && bytes.Equal(head[:same], r.head[:same]) {
		return false
	}
	r.head = head[:n]
	return shorter
}

func (r *reader) record(line []byte) error {
	rec, ok := parse(line)
	if !ok || (r.opts.Stream != "" && string(rec.stream) != r.opts.Stream) || rec.at.Before(r.opts.Since) {
		return nil
	}
	if r.within == nil {
		r.within = map[string]bool{}
	}
	if r.opts.Timestamps && !r.within[string(rec.stream)] {
		if err := r.write(append(rec.stamp, ' ')); err != nil {
			return err
		}
	}
	r.within[string(rec.stream)] = rec.part
	return r.write(rec.text)
}

func (r *reader) write(b []byte) error {
	if r.opts.Limit > 0 && r.written+int64(len(b)) > r.opts.Limit {
		b = b[:r.opts.Limit-r.written]
	}
	n, err := r.out.Write(b)
	r.written += int64(n)
	if err != nil {
		return err
	}
	if r.opts.Limit > 0 && r.written >= r.opts.Limit {
		r.flush()
		return errLimit
	}
	return nil
}

// follow reads the files and what is added to the current one, across
// rotations, until the container has ended and all is read.
func (r *reader) follow(ctx context.Context) error {
	changed, stop, err := r.opts.Changes.follow(r.path)
	if err != nil {
		return err
	}
	defer stop()
	f, offset, err := r.await(ctx, changed)
	for f != nil && err == nil {
		var next *os.File
		next, err = r.current(ctx, changed, f, offset)
		f.Close()
		f, offset = next, 0
	}
	r.flush()
	return err
}

// current follows a file until there is one after it (next) or the container
// has ended.
func (r *reader) current(ctx context.Context, changed <-chan struct{}, f *os.File, offset int64) (next *os.File, err error) {
	for {
		ended := closed(r.opts.Ended)
		if offset, err = r.copy(ctx, f, offset); err != nil {
			return nil, err
		}
		r.flush()
		if !isAt(f, r.path) {
			if next, err = r.move(ctx, f, offset); next != nil || err != nil {
				return next, err
			}
		}
		if ended {
			return nil, nil
		}
		if err := r.wait(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// await waits for the first file; nil when the container ended without one.
func (r *reader) await(ctx context.Context, changed <-chan struct{}) (*os.File, int64, error) {
	for {
		ended := closed(r.opts.Ended)
		f, offset, err := r.begin()
		if f != nil || err != nil || ended {
			return f, offset, err
		}
		if err := r.wait(ctx, changed); err != nil {
			return nil, 0, err
		}
	}
}

func (r *reader) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.opts.Ended:
	case <-changed:
	}
	return nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
