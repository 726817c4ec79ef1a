// Package holds keeps descriptors open for programs that may die. A Table owns
// the descriptors it was given until they are dropped or replaced.
package holds

import (
	"errors"
	"sort"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// maxKeys bounds a table.
const maxKeys = 16384

// errFull says that a table holds as many keys as it may.
var errFull = errors.New("too many held keys")

// Table is a set of held descriptors by key. It is safe for concurrent use.
type Table struct {
	mu  sync.Mutex
	fds map[string][]int
}

// New returns a table that holds fds.
func New(fds map[string][]int) *Table {
	t := &Table{fds: map[string][]int{}}
	for k, v := range fds {
		t.fds[k] = v
	}
	return t
}

// Hold takes over fds under key and closes what key held before. On an error fds are closed.
func (t *Table) Hold(key string, fds []int) error {
	t.mu.Lock()
	old, exists := t.fds[key]
	full := !exists && len(t.fds) >= maxKeys
	if full {
		old = fds
	} else {
		t.fds[key] = fds
	}
	t.mu.Unlock()
	closeAll(old)
	if full {
		return errFull
	}
	return nil
}

// With calls use with what key holds; it says whether key holds anything. The
// descriptors stay open during the call.
func (t *Table) With(key string, use func(fds []int) error) (bool, error) {
	t.mu.Lock()
	dups := make([]int, 0, len(t.fds[key]))
	fds, ok := t.fds[key]
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.mu.Unlock()
			closeAll(dups)
			return true, err
		}
		dups = append(dups, dup)
	}
	t.mu.Unlock()
	if !ok {
		return false, nil
	}
	defer closeAll(dups)
	return true, use(dups)
}

// Drop closes what key holds.
func (t *Table) Drop(key string) {
	t.mu.Lock()
	fds := t.fds[key]
	delete(t.fds, key)
	t.mu.Unlock()
	closeAll(fds)
}

// List returns the keys in order.
func (t *Table) List() []wire.Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]wire.Hold, 0, len(t.fds))
	for k, v := range t.fds {
		out = append(out, wire.Hold{Key: k, FDs: len(v)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// All returns every descriptor by key. They stay the table's.
func (t *Table) All() map[string][]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string][]int, len(t.fds))
	for k, v := range t.fds {
		out[k] = append([]int(nil), v...)
	}
	return out
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
