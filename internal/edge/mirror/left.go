package mirror

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// leaving counts in how many slices an address takes new requests, and tells
// when that changes. The mirror's mu guards it.
type leaving struct {
	taking map[string]int
	moved  chan struct{} // closed and replaced with every change of a slice
}

// countLocked lets a slice count, by 1 or by -1.
func (l *leaving) countLocked(s *discoveryv1.EndpointSlice, by int) {
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		ending := e.Conditions.Terminating != nil && *e.Conditions.Terminating
		if !ready || ending || len(e.Addresses) == 0 {
			continue
		}
		addr := e.Addresses[0]
		if l.taking[addr] += by; l.taking[addr] == 0 {
			delete(l.taking, addr)
		}
	}
}

func (l *leaving) tellLocked() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// WaitLeft returns when no Service gives new requests to a pod's address.
func (m *Mirror) WaitLeft(ctx context.Context, address string) error {
	for {
		m.mu.RLock()
		left, moved := m.leaving.taking[address] == 0, m.leaving.moved
		m.mu.RUnlock()
		if left {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
