package codec

import (
	"bufio"
	"bytes"
	"io"
)

// Body is an encoded answer in pieces, which are sent one after the other: a
// large list is not joined to one more copy of all its items. Pieces may be
// shared with others; nobody changes them.
type Body [][]byte

// Len is the length of all pieces, in bytes.
func (b Body) Len() int {
	n := 0
	for _, piece := range b {
		n += len(piece)
	}
	return n
}

// Bytes are the pieces as one.
func (b Body) Bytes() []byte { return bytes.Join(b, nil) }

// writeSize is how much of a body is written at a time, in bytes.
const writeSize = 64 << 10

// WriteTo implements io.WriterTo.
func (b Body) WriteTo(w io.Writer) (int64, error) {
	if len(b) == 1 {
		n, err := w.Write(b[0])
		return int64(n), err
	}
	var written int64
	out := bufio.NewWriterSize(w, writeSize)
	for _, piece := range b {
		n, err := out.Write(piece)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, out.Flush()
}
