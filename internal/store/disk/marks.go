package disk

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// markEvery is the least time between two marks.
const markEvery = 10 * time.Second

// mark tells that everything up to the revision had happened by the time.
type mark struct {
	revision store.Revision
	at       time.Time
}

// marks give revisions an age, so that history can be compacted by age. They
// are stored beside the changes and kept in memory in order.
type marks struct {
	mu   sync.Mutex
	list []mark // guarded by mu
}

// load reads the stored marks and marks the newest revision with now: what
// came after the last stored one gets no younger than this.
func (m *marks) load(db *pebble.DB, newest store.Revision, now time.Time) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableMark}, UpperBound: []byte{tableMark + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, _, err := splitNumber(it.Key())
		if err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil || len(value) != 8 {
			return errors.Join(errCorrupt, err)
		}
		m.add(mark{store.Revision(n), time.Unix(0, int64(binary.BigEndian.Uint64(value)))})
	}
	m.cover(newest, now)
	return it.Error()
}

func (m *marks) add(k mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, k)
}

// cover adds a mark in memory where the newest revision has none.
func (m *marks) cover(newest store.Revision, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.list); newest > 0 && (n == 0 || m.list[n-1].revision < newest) {
		m.list = append(m.list, mark{newest, now})
	}
}

func (m *marks) due(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.list)
	return n == 0 || now.Sub(m.list[n-1].at) >= markEvery || now.Before(m.list[n-1].at)
}

// olderThan is the newest revision that was reached by the time; zero where
// there is none.
func (m *marks) olderThan(at time.Time) store.Revision {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range slices.Backward(m.list) {
		if !k.at.After(at) {
			return k.revision // even behind marks of a clock that was set back since
		}
	}
	return 0
}

// forget drops marks up to the revision.
func (m *marks) forget(upTo store.Revision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	drop := 0
	for drop < len(m.list) && m.list[drop].revision <= upTo {
		drop++
	}
	m.list = append(m.list[:0], m.list[drop:]...)
}

// first is the earliest time of a mark; ok is false where there is none.
func (m *marks) first() (at time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.list {
		if !ok || k.at.Before(at) {
			at, ok = k.at, true
		}
	}
	return at, ok
}
