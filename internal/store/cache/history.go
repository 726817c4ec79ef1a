package cache

import (
	"sort"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// resourceChunk events of a resource's history lie in one allocation.
const resourceChunk = 64

// chunk is a run of events. What lies in events is never changed again, and
// appending does not move it: readers keep slices without a lock. Histories
// are trimmed by chunks.
type chunk struct {
	events []Event
	bytes  int64
	newest time.Time // when the last event came
}

func (c *chunk) last() store.Revision { return c.events[len(c.events)-1].Revision }

// history is the bounded tail of a resource's events. Each event has a
// sequence number; cursors are sequence numbers, so that a reader that stops
// reading holds nothing. The owner's lock guards it.
type history struct {
	chunkLen int
	chunks   []*chunk       // oldest first, all full but the last
	first    uint64         // sequence number of the first event in chunks
	end      uint64         // sequence number that the next event gets
	floor    store.Revision // every event after it is here
	bytes    int64
}

// limits bound a history; see Options.
type limits struct {
	count int
	bytes int64
	age   time.Duration
}

func (h *history) add(ev Event, now time.Time) {
	var tail *chunk
	if n := len(h.chunks); n > 0 && len(h.chunks[n-1].events) < h.chunkLen {
		tail = h.chunks[n-1]
	} else {
		tail = &chunk{events: make([]Event, 0, h.chunkLen)}
		h.chunks = append(h.chunks, tail)
	}
	tail.events = append(tail.events, ev)
	tail.newest = now
	tail.bytes += int64(ev.Item.size)
	h.bytes += int64(ev.Item.size)
	h.end++
}

// reset empties the history; cursors from before lose their place.
func (h *history) reset(floor store.Revision) {
	*h = history{chunkLen: h.chunkLen, first: h.end + 1, end: h.end + 1, floor: floor}
}

// trim drops the oldest chunks that are over the limits.
func (h *history) trim(l limits, now time.Time) {
	drop := 0
	for ; drop < len(h.chunks); drop++ {
		c := h.chunks[drop]
		over := int(h.end-h.first)-h.chunkLen >= l.count || h.bytes > l.bytes && drop < len(h.chunks)-1
		if !over && now.Sub(c.newest) < l.age {
			break
		}
		h.first += uint64(len(c.events))
		h.bytes -= c.bytes
		h.floor = c.last()
	}
	if drop > 0 {
		h.chunks = append([]*chunk(nil), h.chunks[drop:]...)
	}
}

// oldest is when the newest event of the oldest chunk came; ok is false where
// there are no events.
func (h *history) oldest() (at time.Time, ok bool) {
	if len(h.chunks) == 0 {
		return time.Time{}, false
	}
	return h.chunks[0].newest, true
}

// read gives the events from a cursor to the end of its chunk; ok is false
// where the cursor's events were dropped.
func (h *history) read(cursor uint64) (events []Event, ok bool) {
	if cursor < h.first {
		return nil, false
	}
	if cursor == h.end {
		return nil, true
	}
	offset := int(cursor - h.first)
	c := h.chunks[offset/h.chunkLen]
	n := len(c.events)
	return c.events[offset%h.chunkLen : n : n], true
}

// seek is the cursor of the first event after rev; ok is false where such
// events may have been dropped.
func (h *history) seek(rev store.Revision) (cursor uint64, ok bool) {
	if rev < h.floor {
		return 0, false
	}
	i := sort.Search(len(h.chunks), func(i int) bool { return h.chunks[i].last() > rev })
	if i == len(h.chunks) {
		return h.end, true
	}
	c := h.chunks[i]
	j := sort.Search(len(c.events), func(j int) bool { return c.events[j].Revision > rev })
	return h.first + uint64(i*h.chunkLen+j), true
}
