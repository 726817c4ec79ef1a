package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/knarr-io/knarr/internal/store"
)

// formatVersion is the layout of keys.go. It goes up when an older Knarr
// could not read what this one writes.
const formatVersion = 2

// Names in the meta table; their values are 64 bits, big-endian.
const (
	metaFormat    = "format"
	metaCompacted = "compacted"
)

func (e *engine) checkFormat() error {
	got, err := e.readNumber(metaFormat)
	switch {
	case err != nil:
		return err
	case got < formatVersion: // what older ones wrote is read, too
		return e.db.Set(metaKey(metaFormat), binary.BigEndian.AppendUint64(nil, formatVersion), e.sync)
	case got > formatVersion:
		return fmt.Errorf("format %d, this version knows %d: %w", got, formatVersion, store.ErrNewerFormat)
	}
	return nil
}

// readNumber is zero where the name is not set.
func (e *engine) readNumber(name string) (uint64, error) {
	value, closer, err := e.db.Get(metaKey(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, fmt.Errorf("meta %s: %w", name, errCorrupt)
	}
	return binary.BigEndian.Uint64(value), nil
}

// classifyOpen recognises the directory of a newer Pebble by its words: there
// is no error value for it.
func classifyOpen(err error) error {
	if strings.Contains(err.Error(), "unknown format major version") {
		return fmt.Errorf("%w: %w", store.ErrNewerFormat, err)
	}
	return err
}

// ownerFile holds the process id of who has the directory open.
const ownerFile = "OWNER"

// lockDirectory takes the directory for this process, or fails with
// store.ErrLocked and the owner's process id where it is known.
func lockDirectory(fs vfs.FS, dir string) (*pebble.Lock, error) {
	owner := fs.PathJoin(dir, ownerFile)
	lock, err := pebble.LockDirectory(dir, fs)
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return nil, err // the file could not even be opened
	}
	if err != nil {
		if pid := readOwner(fs, owner); pid != "" {
			return nil, fmt.Errorf("%w (process %s)", store.ErrLocked, pid)
		}
		return nil, fmt.Errorf("%w: %w", store.ErrLocked, err)
	}
	// For messages only, so a failure to write it does not count.
	writeOwner(fs, owner)
	return lock, nil
}

func readOwner(fs vfs.FS, name string) string {
	f, err := fs.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func writeOwner(fs vfs.FS, name string) {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = io.WriteString(f, strconv.Itoa(os.Getpid())+"\n")
}
