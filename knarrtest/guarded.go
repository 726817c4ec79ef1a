package knarrtest

import (
	"bytes"
	"sync"
)

// guarded is a buffer that one goroutine at a time sees.
type guarded struct {
	mu     sync.Mutex
	buffer bytes.Buffer // guarded by mu
}

func (g *guarded) change(fn func(*bytes.Buffer)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fn(&g.buffer)
}
