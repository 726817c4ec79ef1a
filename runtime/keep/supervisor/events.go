package supervisor

import "github.com/knarr-io/knarr/runtime/keep/wire"

// subscriberBuffer is how far a subscriber may lag before it is cut off.
const subscriberBuffer = 256

// Subscribe returns the state of every service, then every change. The
// channel closes when the subscriber lags too far behind, or by cancel.
func (s *Supervisor) Subscribe() (now []wire.Status, changes <-chan wire.Status, cancel func()) {
	ch := make(chan wire.Status, subscriberBuffer)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		now = append(now, svc.statusLocked())
	}
	s.subs[ch] = struct{}{}
	return now, ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unsubscribeLocked(ch)
	}
}

func (s *Supervisor) unsubscribeLocked(ch chan wire.Status) {
	if _, ok := s.subs[ch]; ok {
		delete(s.subs, ch)
		close(ch)
	}
}

func (s *Supervisor) publishLocked(st wire.Status) {
	for ch := range s.subs {
		select {
		case ch <- st:
		default:
			s.unsubscribeLocked(ch)
		}
	}
}
