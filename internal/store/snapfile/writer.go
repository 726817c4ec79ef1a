package snapfile

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

const (
	magic = "knarr-snapshot 1\n"
	// frameBytes is where a frame of records is closed.
	frameBytes = 256 << 10
	// maxFrame bounds what a reader takes in: one record may overflow a frame.
	maxFrame = 32 << 20

	typeHeader  = 'h'
	typeRecords = 'r'
	typeEnd     = 'e'
)

// Record is a key in a snapshot.
type Record struct {
	store.Record
	// Expiry is zero where the key does not expire.
	Expiry time.Time
}

// Writer writes a snapshot. It is used by one goroutine.
type Writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	frame []byte
	count uint64
	last  string
	table *crc32.Table
}

// NewWriter begins a snapshot of the state at a revision, taken at a time.
func NewWriter(w io.Writer, rev store.Revision, at time.Time) (*Writer, error) {
	out := &Writer{out: bufio.NewWriterSize(w, 64<<10), sum: sha256.New(), table: crc32.MakeTable(crc32.Castagnoli)}
	if _, err := out.out.WriteString(magic); err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint64([]byte{typeHeader}, uint64(rev))
	head = binary.BigEndian.AppendUint64(head, uint64(at.UnixNano()))
	return out, out.writeFrame(head)
}

// Write adds a record; keys must ascend.
func (w *Writer) Write(rec Record) error {
	if rec.Key <= w.last {
		return fmt.Errorf("snapshot: key %q does not come after %q", rec.Key, w.last)
	}
	w.last = rec.Key
	if len(w.frame) == 0 {
		w.frame = append(w.frame, typeRecords)
	}
	var expiry uint64
	if !rec.Expiry.IsZero() {
		expiry = uint64(rec.Expiry.UnixNano())
	}
	w.frame = appendString(w.frame, rec.Key)
	w.frame = binary.AppendUvarint(w.frame, uint64(rec.Modified))
	w.frame = binary.AppendUvarint(w.frame, expiry)
	w.frame = binary.AppendUvarint(w.frame, uint64(len(rec.Value)))
	w.frame = append(w.frame, rec.Value...)
	w.count++
	if len(w.frame) < frameBytes {
		return nil
	}
	return w.flush()
}

// Close writes the end; without it the snapshot is not valid.
func (w *Writer) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	end := binary.BigEndian.AppendUint64([]byte{typeEnd}, w.count)
	if err := w.writeFrame(w.sum.Sum(end)); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *Writer) flush() error {
	if len(w.frame) == 0 {
		return nil
	}
	err := w.writeFrame(w.frame)
	w.frame = w.frame[:0]
	return err
}

func (w *Writer) writeFrame(payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("snapshot: a record of %d bytes: %w", len(payload), store.ErrTooLarge)
	}
	w.sum.Write(payload)
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], uint32(len(payload)))
	if _, err := w.out.Write(number[:]); err != nil {
		return err
	}
	if _, err := w.out.Write(payload); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(number[:], crc32.Checksum(payload, w.table))
	_, err := w.out.Write(number[:])
	return err
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
