package ingress

import (
	"slices"
	"sync"
	"time"
)

// idleLines are connections to endpoints that wait for the next request. It is
// safe for concurrent use.
type idleLines struct {
	mu sync.Mutex
	// lines are by address, the longest idle first.
	lines map[string][]*line
	count int
	// sweeping tells that those who wait for too long will be looked for.
	sweeping bool
}

// take gives the line that was used last, and tells whether there is one.
func (i *idleLines) take(address string) (*line, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	of := i.lines[address]
	if len(of) == 0 {
		return nil, false
	}
	l := of[len(of)-1]
	i.keepLocked(address, of[:len(of)-1])
	i.count--
	return l, true
}

// put keeps a line, unless there are enough.
func (i *idleLines) put(l *line) {
	i.mu.Lock()
	defer i.mu.Unlock()
	of := i.lines[l.address]
	if i.count >= maxIdle || len(of) >= maxIdleOfOne {
		_ = l.conn.Close()
		return
	}
	l.since = time.Now()
	i.lines[l.address] = append(of, l)
	i.count++
	if !i.sweeping {
		i.sweeping = true
		time.AfterFunc(lineTime, i.sweep)
	}
}

// sweep closes the lines that were idle for too long. Those that their
// endpoints closed are among them at the latest.
func (i *idleLines) sweep() {
	i.close(time.Now().Add(-lineTime))
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.sweeping = i.count > 0; i.sweeping {
		time.AfterFunc(lineTime, i.sweep)
	}
}

// close closes the lines that have been idle since the time given, or longer.
func (i *idleLines) close(since time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for address, of := range i.lines {
		fresh := slices.IndexFunc(of, func(l *line) bool { return l.since.After(since) })
		if fresh < 0 {
			fresh = len(of)
		}
		for _, l := range of[:fresh] {
			_ = l.conn.Close()
		}
		i.count -= fresh
		i.keepLocked(address, slices.Clone(of[fresh:]))
	}
}

func (i *idleLines) keepLocked(address string, of []*line) {
	if len(of) == 0 {
		delete(i.lines, address)
	} else {
		i.lines[address] = of
	}
}
