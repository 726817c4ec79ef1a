package snapfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// ErrCorrupt: the file is not a snapshot, or not a whole one.
var ErrCorrupt = errors.New("the snapshot is damaged or not one of Knarr's")

// Reader reads a snapshot. It is used by one goroutine.
type Reader struct {
	in    *bufio.Reader
	sum   hash.Hash
	rest  []byte // of the frame at hand
	count uint64
	last  string
	table *crc32.Table

	// Revision is the state that the snapshot holds, Time when it was taken.
	Revision store.Revision
	Time     time.Time
}

// NewReader reads the beginning of a snapshot.
func NewReader(r io.Reader) (*Reader, error) {
	out := &Reader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New(), table: crc32.MakeTable(crc32.Castagnoli)}
	first := make([]byte, len(magic))
	if _, err := io.ReadFull(out.in, first); err != nil || string(first) != magic {
		return nil, ErrCorrupt
	}
	head, err := out.readFrame()
	if err != nil {
		return nil, err
	}
	if len(head) != 17 || head[0] != typeHeader {
		return nil, fmt.Errorf("header: %w", ErrCorrupt)
	}
	out.sum.Write(head)
	out.Revision = store.Revision(binary.BigEndian.Uint64(head[1:]))
	out.Time = time.Unix(0, int64(binary.BigEndian.Uint64(head[9:])))
	return out, nil
}

// Next is the next record, io.EOF behind the last one of a whole snapshot,
// or ErrCorrupt.
func (r *Reader) Next() (Record, error) {
	if len(r.rest) == 0 {
		if err := r.nextFrame(); err != nil {
			return Record{}, err
		}
	}
	rec, err := r.parse()
	if err != nil {
		return Record{}, err
	}
	if rec.Key <= r.last || rec.Modified == 0 || rec.Modified > r.Revision {
		return Record{}, fmt.Errorf("key %q: %w", rec.Key, ErrCorrupt)
	}
	r.last = rec.Key
	r.count++
	return rec, nil
}

func (r *Reader) nextFrame() error {
	payload, err := r.readFrame()
	if err != nil {
		return err
	}
	switch {
	case len(payload) > 1 && payload[0] == typeRecords:
		r.sum.Write(payload)
		r.rest = payload[1:]
		return nil
	case len(payload) > 0 && payload[0] == typeEnd:
		end := binary.BigEndian.AppendUint64([]byte{typeEnd}, r.count)
		if !bytes.Equal(payload, r.sum.Sum(end)) {
			return fmt.Errorf("checksum: %w", ErrCorrupt)
		}
		return io.EOF
	}
	return fmt.Errorf("unknown part: %w", ErrCorrupt)
}

// readFrame allocates as bytes arrive, so that a false length costs nothing.
func (r *Reader) readFrame() ([]byte, error) {
	var number [4]byte
	if _, err := io.ReadFull(r.in, number[:]); err != nil {
		return nil, cut(err)
	}
	size := binary.BigEndian.Uint32(number[:])
	if size > maxFrame {
		return nil, fmt.Errorf("part of %d bytes: %w", size, ErrCorrupt)
	}
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, r.in, int64(size)); err != nil {
		return nil, cut(err)
	}
	if _, err := io.ReadFull(r.in, number[:]); err != nil {
		return nil, cut(err)
	}
	if crc32.Checksum(payload.Bytes(), r.table) != binary.BigEndian.Uint32(number[:]) {
		return nil, fmt.Errorf("checksum of a part: %w", ErrCorrupt)
	}
	return payload.Bytes(), nil
}

// cut tells the end of the file, which is always too early, from trouble.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file is cut short: %w", ErrCorrupt)
	}
	return err
}

func (r *Reader) parse() (Record, error) {
	key, err := r.bytes()
	if err != nil {
		return Record{}, err
	}
	modified, err := r.number()
	if err != nil {
		return Record{}, err
	}
	expiry, err := r.number()
	if err != nil {
		return Record{}, err
	}
	value, err := r.bytes()
	if err != nil {
		return Record{}, err
	}
	rec := Record{Record: store.Record{Key: string(key), Value: value, Modified: store.Revision(modified)}}
	if expiry != 0 {
		rec.Expiry = time.Unix(0, int64(expiry))
	}
	return rec, nil
}

func (r *Reader) number() (uint64, error) {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		return 0, fmt.Errorf("number: %w", ErrCorrupt)
	}
	r.rest = r.rest[size:]
	return n, nil
}

func (r *Reader) bytes() ([]byte, error) {
	n, err := r.number()
	if err != nil || n > uint64(len(r.rest)) {
		return nil, fmt.Errorf("length: %w", ErrCorrupt)
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out, nil
}
