package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/knarr-io/knarr/internal/store"
)

// Layout of Pebble's key space. The first byte is the table:
//
//	meta    0x00 name                    -> see the names below
//	log     0x01 revision                -> flag, [revision that it follows], key
//	expiry  0x02 unix nanoseconds, key   -> revision of the version that expires
//	mark    0x03 revision                -> unix nanoseconds when it was reached
//	data    0x10 key 0x00 ^revision      -> flag, [expiry], value
//
// Numbers are 64 bits, big-endian. Versions of one key lie together, newest
// first, and keys lie in byte order because none contains a zero byte.
const (
	tableMeta   = 0x00
	tableLog    = 0x01
	tableExpiry = 0x02
	tableMark   = 0x03
	tableData   = 0x10
)

// Flags of a version.
const (
	flagDeleted  = 0
	flagValue    = 1
	flagExpiring = 2 // the expiry, in unix nanoseconds, precedes the value
)

// flagFollows, in an entry of the log, tells that the revision of the version
// that this one took the place of precedes the key: zero where there was none.
// Compaction finds that version without a search.
const flagFollows = 0x80

// maxKey bounds keys, in bytes.
const maxKey = 4096

const revisionLen = 8

var errCorrupt = errors.New("the data on disk does not make sense")

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > maxKey:
		return fmt.Errorf("a key of %d bytes: %w", len(key), store.ErrTooLarge)
	case strings.IndexByte(key, 0) >= 0:
		return errors.New("the key contains a zero byte")
	}
	return nil
}

func metaKey(name string) []byte { return append([]byte{tableMeta}, name...) }

func numberKey(table byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{table}, n)
}

func logKey(rev store.Revision) []byte { return numberKey(tableLog, uint64(rev)) }

func markKey(rev store.Revision) []byte { return numberKey(tableMark, uint64(rev)) }

func expiryKey(nanos uint64, key string) []byte { return append(numberKey(tableExpiry, nanos), key...) }

// appendVersions appends what all versions of the key begin with.
func appendVersions(dst []byte, key string) []byte {
	dst = append(dst, tableData)
	dst = append(dst, key...)
	return append(dst, 0)
}

func appendVersion(dst []byte, key string, rev store.Revision) []byte {
	return binary.BigEndian.AppendUint64(appendVersions(dst, key), ^uint64(rev))
}

// behindKey is the place behind all versions of a key, before the next key.
func behindKey(key string) []byte {
	out := append([]byte{tableData}, key...)
	return append(out, 1)
}

// splitVersion takes a key of the data table apart.
func splitVersion(k []byte) (key []byte, rev store.Revision, err error) {
	n := len(k) - revisionLen
	if n < 2 || k[0] != tableData || k[n-1] != 0 {
		return nil, 0, fmt.Errorf("version key %x: %w", k, errCorrupt)
	}
	return k[1 : n-1], store.Revision(^binary.BigEndian.Uint64(k[n:])), nil
}

// splitNumber takes a key apart that begins with a table and a number.
func splitNumber(k []byte) (n uint64, rest []byte, err error) {
	if len(k) < 1+revisionLen {
		return 0, nil, fmt.Errorf("key %x: %w", k, errCorrupt)
	}
	return binary.BigEndian.Uint64(k[1:]), k[1+revisionLen:], nil
}

// after is the first key behind all that begin with prefix, which must not
// consist of 0xff alone.
func after(prefix []byte) []byte {
	out := bytes.Clone(prefix)
	for len(out) > 0 && out[len(out)-1] == 0xff {
		out = out[:len(out)-1]
	}
	out[len(out)-1]++
	return out
}

// encodeVersion is the stored form of a value; expiry is zero where it has none.
func encodeVersion(value []byte, expiry uint64) []byte {
	if value == nil {
		return []byte{flagDeleted}
	}
	out := make([]byte, 0, 1+revisionLen+len(value))
	if expiry == 0 {
		return append(append(out, flagValue), value...)
	}
	out = binary.BigEndian.AppendUint64(append(out, flagExpiring), expiry)
	return append(out, value...)
}

// decodeVersion gives a slice of v; value is nil for a deletion.
func decodeVersion(v []byte) (value []byte, expiry uint64, err error) {
	switch {
	case len(v) == 1 && v[0] == flagDeleted:
		return nil, 0, nil
	case len(v) >= 1 && v[0] == flagValue:
		return v[1:], 0, nil
	case len(v) >= 1+8 && v[0] == flagExpiring:
		return v[9:], binary.BigEndian.Uint64(v[1:]), nil
	}
	return nil, 0, fmt.Errorf("version value: %w", errCorrupt)
}
