package disk

import (
	"strings"
	"sync"

	"github.com/knarr-io/knarr/internal/store"
)

const (
	// recentChanges and recentBytes bound the newest changes that the hub
	// keeps; watches that lie further back read the log on disk.
	recentChanges = 1024
	recentBytes   = 1 << 20
	// nextChanges bounds what one Next of a watch returns.
	nextChanges = 1024
)

// hub holds the newest changes for the watches of this process. Revisions are
// dense, so a change's place follows from its revision.
type hub struct {
	mu      sync.Mutex
	recent  []store.Change // guarded by mu; the last has revision newest
	newest  store.Revision // guarded by mu
	bytes   int            // guarded by mu
	changed chan struct{}  // guarded by mu: closed at the next change
	waiting bool           // guarded by mu: somebody has changed
	err     error          // guarded by mu: why watches end
}

func (h *hub) init() { h.changed = make(chan struct{}) }

func (h *hub) start(newest store.Revision) { h.newest = newest }

func (h *hub) publish(changes []store.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent = append(h.recent, changes...)
	h.newest = changes[len(changes)-1].Revision
	for _, ch := range changes {
		h.bytes += len(ch.Value)
	}
	// The newest batch stays whatever its size: its readers are just waking.
	drop := 0
	for drop < len(h.recent)-len(changes) && (len(h.recent)-drop > recentChanges || h.bytes > recentBytes) {
		h.bytes -= len(h.recent[drop].Value)
		h.recent[drop] = store.Change{}
		drop++
	}
	h.recent = h.recent[drop:]
	h.wakeLocked()
}

func (h *hub) wakeLocked() {
	if h.waiting {
		close(h.changed)
		h.changed, h.waiting = make(chan struct{}), false
	}
}

func (h *hub) close(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	h.wakeLocked()
}

// since gives copies of the changes after the cursor whose keys have the
// prefix, and the cursor behind them. Where there are none, wait is closed
// when that may have changed; behind tells that they lie further back.
func (h *hub) since(cursor store.Revision, prefix string) (out []store.Change, next store.Revision, wait <-chan struct{}, behind bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, cursor, nil, false, h.err
	}
	if cursor < h.newest {
		missing := uint64(h.newest - cursor)
		if missing > uint64(len(h.recent)) {
			return nil, cursor, nil, true, nil
		}
		for _, ch := range h.recent[uint64(len(h.recent))-missing:] {
			if len(out) == nextChanges {
				break
			}
			cursor = ch.Revision
			if strings.HasPrefix(ch.Key, prefix) {
				out = append(out, ch)
			}
		}
	}
	if len(out) > 0 {
		return out, cursor, nil, false, nil
	}
	h.waiting = true
	return nil, cursor, h.changed, false, nil
}
