package logs

import (
	"bufio"
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
	paths, err := files(path)
	if err != nil {
		return err
	}
	r := &reader{path: path, opts: o, out: out, flush: flush}
	index, offset := 0, int64(0)
	if o.Tail >= 0 {
		if index, offset, err = tailStart(paths, o.Tail); err != nil {
			return err
		}
	}
	if o.Follow {
		return r.follow(ctx, paths[index:], offset)
	}
	for _, p := range paths[index:] {
		if err := r.file(ctx, p, offset); err != nil {
			return done(err)
		}
		offset = 0
	}
	flush()
	return nil
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
}

// file copies one file to its present end; one that is gone is skipped.
func (r *reader) file(ctx context.Context, path string, offset int64) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = r.copy(ctx, f, offset)
	return err
}

// copy writes the records of f from offset and returns where the last whole
// one ended.
func (r *reader) copy(ctx context.Context, f *os.File, offset int64) (int64, error) {
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

// follow reads the files and then what is added to the current one, across
// rotations, until the container has ended and all is read.
func (r *reader) follow(ctx context.Context, paths []string, offset int64) error {
	changed, stop, err := r.opts.Changes.follow(r.path)
	if err != nil {
		return err
	}
	defer stop()
	for _, p := range paths[:len(paths)-1] {
		if err := r.file(ctx, p, offset); err != nil {
			return done(err)
		}
		offset = 0
	}
	for {
		again, err := r.current(ctx, changed, offset)
		if err != nil || !again {
			r.flush()
			return done(err)
		}
		offset = 0 // a new file has taken the current one's place
	}
}

// current follows the current file until it is rotated (again) or the
// container has ended.
func (r *reader) current(ctx context.Context, changed <-chan struct{}, offset int64) (again bool, err error) {
	f, err := r.open(ctx, changed)
	if err != nil || f == nil {
		return false, err
	}
	defer f.Close()
	for {
		ended := closed(r.opts.Ended)
		if offset, err = r.copy(ctx, f, offset); err != nil {
			return false, err
		}
		r.flush()
		if rotated(f, r.path) {
			_, err := r.copy(ctx, f, offset)
			return err == nil, err
		}
		if ended {
			return false, nil
		}
		if err := r.wait(ctx, changed); err != nil {
			return false, err
		}
	}
}

// open waits for the current file; nil when the container ended without one.
func (r *reader) open(ctx context.Context, changed <-chan struct{}) (*os.File, error) {
	for {
		ended := closed(r.opts.Ended)
		f, err := os.Open(r.path)
		if err == nil || !os.IsNotExist(err) {
			return f, err
		}
		if ended {
			return nil, nil
		}
		if err := r.wait(ctx, changed); err != nil {
			return nil, err
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

// rotated tells that path is not the open file any more and a new file is there.
func rotated(f *os.File, path string) bool {
	was, err := f.Stat()
	if err != nil {
		return false
	}
	is, err := os.Stat(path)
	return err == nil && !os.SameFile(was, is)
}
