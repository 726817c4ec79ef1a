package audit

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/plugin/pkg/audit/buffered"

	"github.com/knarr-io/knarr/internal/testkit/await"
)

// busy is a webhook that answers when it is told to.
type busy struct {
	audit.Backend
	answer chan struct{}
}

func (b busy) Run(<-chan struct{}) error { return nil }

func (b busy) Shutdown() {}

func (b busy) ProcessEvents(...*auditinternal.Event) bool {
	<-b.answer
	return true
}

// What finds the queue full is lost and counted, and takes no room from those
// that come when the webhook answers again.
func TestEventsThatAreLostTakeNoRoom(t *testing.T) {
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lost"}, []string{"why"})
	hook := busy{answer: make(chan struct{})}
	b := newBudget(hook, 1<<20, buffered.BatchConfig{BufferSize: 4, MaxBatchSize: 1}, lost.WithLabelValues("x"))
	stop := make(chan struct{})
	if err := b.Run(stop); err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	defer close(stop)

	refused := 0
	for range 50 {
		if !b.ProcessEvents(&auditinternal.Event{}) {
			refused++
		}
	}
	// Four wait, and at most one is being sent.
	if refused < 45 {
		t.Errorf("%d of 50 events are told to be lost", refused)
	}
	close(hook.answer)
	await.Until(t, time.Minute, "the room is given back", func() bool { return b.held.Load() == 0 && b.waiting.Load() == 0 })
	if !b.ProcessEvents(&auditinternal.Event{}) {
		t.Error("an event is lost that comes when there is room again")
	}
}
