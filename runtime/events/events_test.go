package events

import "testing"

// What an event tells is not older than the event before it: who removes
// something in between is told of after it.
func TestEventsTellInTheirOrder(t *testing.T) {
	var h Hub[string]
	all, cancel := h.Subscribe()
	defer cancel()
	making, second := make(chan struct{}), make(chan struct{})
	go h.Publish(func() string {
		close(making)
		<-second
		return "there"
	})
	<-making
	go func() {
		close(second)
		h.Publish(func() string { return "gone" })
	}()
	if first, last := <-all, <-all; first != "there" || last != "gone" {
		t.Errorf("%s before %s", first, last)
	}
	cancel()
	h.Publish(func() string {
		t.Error("an event was made for nobody")
		return ""
	})
}
