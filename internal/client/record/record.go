// Package record writes Events: it takes what components report, merges
// repetitions and near-repetitions, bounds what one object may cause, and
// writes in the background.
//
// The rules of merging and of limits are those of upstream's recorder: the
// same event again raises its count; more than ten alike of one object within
// ten minutes become one "(combined from similar events)"; an object has a
// budget of 25 events that refills one in five minutes. Reporting never
// blocks: what does not fit into the queue is counted and dropped.
package record

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
)

const (
	writers      = 4
	queueLength  = 1024 // per writer
	flushTimeout = 2 * time.Second
	writeTimeout = 10 * time.Second
	mostMessage  = 1024 // bytes, as the API allows
	nameTries    = 8
)

// Recorder writes the events of one component. Run must be running for them
// to go out. Safe for concurrent use; a nil Recorder drops everything.
type Recorder struct {
	client  *client.Client
	events  client.Typed[*corev1.Event]
	source  corev1.EventSource
	logger  *slog.Logger
	seed    maphash.Seed
	queues  []chan *report
	dropped atomic.Uint64
	last    atomic.Int64 // the newest report's number
}

// report is one event as it was reported.
type report struct {
	regarding            corev1.ObjectReference
	typ, reason, message string
	annotations          map[string]string
	at                   time.Time
	number               int64 // of the event's name
}

// New makes a recorder of a component ("deployment-controller"), on a host
// where the component belongs to one (the node's name for the node agent).
func New(c *client.Client, component, host string, logger *slog.Logger) *Recorder {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{
		client: c, events: client.For[*corev1.Event](c), logger: logger, seed: maphash.MakeSeed(),
		source: corev1.EventSource{Component: component, Host: host},
	}
	for range writers {
		r.queues = append(r.queues, make(chan *report, queueLength))
	}
	return r
}

// Event reports something that happened to an object; typ is
// corev1.EventTypeNormal or EventTypeWarning.
func (r *Recorder) Event(regarding api.Object, typ, reason, message string) {
	if r == nil {
		return
	}
	r.EventRef(r.reference(regarding), typ, reason, message)
}

// Eventf is Event with a format.
func (r *Recorder) Eventf(regarding api.Object, typ, reason, format string, args ...any) {
	r.Event(regarding, typ, reason, fmt.Sprintf(format, args...))
}

// EventRef reports something that happened to a referenced object or to a
// part of it (FieldPath).
func (r *Recorder) EventRef(regarding corev1.ObjectReference, typ, reason, message string) {
	if r == nil {
		return
	}
	now := time.Now()
	rep := &report{regarding: regarding, typ: typ, reason: reason, message: bounded(message), at: now, number: r.number(now)}
	shard := maphash.String(r.seed, string(regarding.UID)+regarding.Namespace+"/"+regarding.Name) % writers
	select {
	case r.queues[shard] <- rep:
	default:
		if r.dropped.Add(1)%queueLength == 1 {
			r.logger.Warn("events are dropped, the queue is full", "dropped", r.dropped.Load())
		}
	}
}

// number is the time in nanoseconds, but no number twice, also where the clock was
// set back: events are named after it.
func (r *Recorder) number(now time.Time) int64 {
	for {
		last := r.last.Load()
		next := max(now.UnixNano(), last+1)
		if r.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// reference names an object of a kind of the catalogue.
func (r *Recorder) reference(obj api.Object) corev1.ObjectReference {
	ref := corev1.ObjectReference{
		Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion(),
	}
	if k := r.client.Catalog().TypeOf(obj); k != nil {
		ref.APIVersion, ref.Kind = k.GVK.ToAPIVersionAndKind()
	}
	return ref
}

// Run writes until ctx ends, then what is still queued, for at most two
// seconds.
func (r *Recorder) Run(ctx context.Context) {
	if r == nil {
		return
	}
	var all sync.WaitGroup
	for _, q := range r.queues {
		all.Go(func() { r.write(ctx, q) })
	}
	all.Wait()
}

func (r *Recorder) write(ctx context.Context, q <-chan *report) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(flushTimeout, stop) })()
	merged := newCorrelator()
	for {
		select {
		case rep := <-q:
			r.put(work, merged, rep)
		case <-ctx.Done():
			for len(q) > 0 && work.Err() == nil {
				r.put(work, merged, <-q)
			}
			return
		}
	}
}

// put writes one report: a new event, or one more of an event that exists.
func (r *Recorder) put(ctx context.Context, merged *correlator, rep *report) {
	entry, ok := merged.take(rep)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if entry.name != "" {
		_, err := r.events.Patch(ctx, r.namespace(rep), entry.name, types.StrategicMergePatchType, entry.patch(rep))
		if err == nil {
			return
		}
		if !apierrors.IsNotFound(err) {
			r.failed(err)
			return
		}
		entry.count, entry.first = 1, rep.at // it expired: begin anew
	}
	err := r.create(ctx, rep, entry)
	for try := 1; apierrors.IsAlreadyExists(err) && try < nameTries; try++ {
		rep.number++ // another component told of the object in the same nanosecond
		err = r.create(ctx, rep, entry)
	}
	if err != nil {
		r.failed(err)
		return
	}
	entry.name = eventName(rep)
}

func (r *Recorder) create(ctx context.Context, rep *report, entry *entry) error {
	_, err := r.events.Create(ctx, r.event(rep, entry))
	return err
}

// failed leaves an event unwritten: events are best effort, and those of a
// namespace that goes away have nowhere to be.
func (r *Recorder) failed(err error) {
	r.logger.Debug("an event was not written", "error", err)
}

func (r *Recorder) namespace(rep *report) string {
	if rep.regarding.Namespace == "" {
		return metav1.NamespaceDefault
	}
	return rep.regarding.Namespace
}

func (r *Recorder) event(rep *report, entry *entry) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: eventName(rep), Namespace: r.namespace(rep), Annotations: rep.annotations},
		InvolvedObject:      rep.regarding,
		Reason:              rep.reason,
		Message:             entry.message,
		FirstTimestamp:      metav1.NewTime(entry.first),
		LastTimestamp:       metav1.NewTime(rep.at),
		Count:               entry.count,
		Type:                rep.typ,
		Source:              r.source,
		ReportingController: r.source.Component,
		ReportingInstance:   r.source.Host,
	}
}

func eventName(rep *report) string {
	return fmt.Sprintf("%s.%x", rep.regarding.Name, rep.number)
}

// bounded cuts a message to what the API takes.
func bounded(message string) string {
	if len(message) <= mostMessage {
		return message
	}
	cut := mostMessage - len(" ...")
	for cut > 0 && message[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return message[:cut] + " ..."
}
