package audit

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/audit/buffered"
	"k8s.io/apiserver/plugin/pkg/audit/truncate"
	auditwebhook "k8s.io/apiserver/plugin/pkg/audit/webhook"
)

// WebhookOptions say where batches of events are sent to.
type WebhookOptions struct {
	// ConfigFile is a kubeconfig that names the server; empty: none.
	ConfigFile string
	// MaxWait is how long an event waits for others at most; zero: 30 s.
	MaxWait time.Duration
	// InitialBackoff is the wait before the first of four retries; zero: 10 s.
	InitialBackoff time.Duration
}

// Bounds of what waits for the webhook.
const (
	queueEvents = 10_000
	queueBytes  = 64 << 20
	batchEvents = 400
	// An event over eventBytes is sent without its bodies.
	eventBytes = 1 << 20
	batchBytes = 10 << 20
	// batchesPerSecond, with short bursts of batchBurst.
	batchesPerSecond, batchBurst = 10, 15
)

// openWebhook makes the way to a webhook: a budget, a queue, and behind it
// the sender, which retries.
func openWebhook(o WebhookOptions, lost prometheus.Counter) (audit.Backend, error) {
	if o.MaxWait == 0 {
		o.MaxWait = 30 * time.Second
	}
	if o.InitialBackoff == 0 {
		o.InitialBackoff = 10 * time.Second
	}
	sender, err := auditwebhook.NewBackend(o.ConfigFile, groupVersion, webhook.DefaultRetryBackoffWithInitialDelay(o.InitialBackoff), nil)
	if err != nil {
		return nil, fmt.Errorf("audit webhook %s: %w", o.ConfigFile, err)
	}
	cut := truncate.NewBackend(sender, truncate.Config{MaxEventSize: eventBytes, MaxBatchSize: batchBytes}, groupVersion)
	return newBudget(cut, queueBytes, buffered.BatchConfig{
		BufferSize: queueEvents, MaxBatchSize: batchEvents, MaxBatchWait: o.MaxWait,
		ThrottleEnable: true, ThrottleQPS: batchesPerSecond, ThrottleBurst: batchBurst, AsyncDelegate: true,
	}, lost), nil
}

// budget lets events into a queue as long as not too many wait, and those that
// wait or are being sent are not too many bytes. It counts by itself: the
// queue would not tell which events it dropped.
type budget struct {
	audit.Backend
	limit, most   int64 // of held and waiting
	held, waiting atomic.Int64
	lost          prometheus.Counter
}

func newBudget(sender audit.Backend, limit int64, queue buffered.BatchConfig, lost prometheus.Counter) *budget {
	b := &budget{limit: limit, most: int64(queue.BufferSize), lost: lost}
	b.Backend = buffered.NewBackend(released{Backend: sender, budget: b}, queue)
	return b
}

// ProcessEvents implements audit.Backend.
func (b *budget) ProcessEvents(events ...*auditinternal.Event) bool {
	all := true
	for _, e := range events {
		size := sizeOf(e)
		held, waiting := b.held.Add(size), b.waiting.Add(1)
		if held > b.limit || waiting > b.most || !b.Backend.ProcessEvents(e) {
			b.held.Add(-size)
			b.waiting.Add(-1)
			b.lost.Inc()
			all = false
		}
	}
	return all
}

// released gives budget back: an event's place when it is taken to be sent, its
// bytes when it was, or was given up.
type released struct {
	audit.Backend
	budget *budget
}

// ProcessEvents implements audit.Backend.
func (r released) ProcessEvents(events ...*auditinternal.Event) bool {
	r.budget.waiting.Add(-int64(len(events)))
	sent := r.Backend.ProcessEvents(events...)
	for _, e := range events {
		r.budget.held.Add(-sizeOf(e))
	}
	return sent
}

// sizeOf is about what an event holds in memory, in bytes.
func sizeOf(e *auditinternal.Event) int64 {
	const bare = 1 << 10
	size := int64(bare + len(e.RequestURI) + len(e.UserAgent))
	if e.RequestObject != nil {
		size += int64(len(e.RequestObject.Raw))
	}
	if e.ResponseObject != nil {
		size += int64(len(e.ResponseObject.Raw))
	}
	return size
}
