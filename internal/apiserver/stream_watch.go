package apiserver

import (
	"context"
	stderrors "errors"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

const (
	// flushEvery is the shortest time between two flushes of a watch: what
	// comes meanwhile goes out together.
	flushEvery = time.Millisecond
	// writeLimit is how long a client may take for what a watch sends last.
	writeLimit = 30 * time.Second
	// watchBegins is how long a watch keeps its seats at most.
	watchBegins = time.Second
)

// serveWatch answers a watch until its time is over, its client goes, or the
// server stops.
func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, c *call, req *request.Request) error {
	enc, err := s.eventEncoder(r, c)
	if err != nil {
		return err
	}
	select {
	case s.watches <- struct{}{}:
		defer func() { <-s.watches }()
	default:
		return errors.NewTooManyRequests("Too many watches are running, please try again later.", 1)
	}
	return s.runWatch(w, r, c, req, enc)
}

func (s *Server) runWatch(w http.ResponseWriter, r *http.Request, c *call, req *request.Request, enc *eventEncoder) error {
	running, err := s.verbs.Watch(r.Context(), req)
	if err != nil && !errors.IsResourceExpired(err) {
		return err
	}
	if running != nil {
		defer running.Stop()
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	var out sink
	if wantsWebSocket(r) {
		out, err = newSocketSink(w, r, enc.format)
		if err != nil {
			return nil // the upgrader has answered
		}
	} else {
		out = s.newBodySink(w, c, enc)
		if running != nil {
			// One for the watch's life: an idle HTTP/2 stream would not
			// survive a shorter one, and setting it costs more than an event.
			_ = http.NewResponseController(w).SetWriteDeadline(running.Deadline().Add(writeLimit))
		}
	}
	defer out.close()
	if running == nil {
		out.write(enc.failure(err))
		out.flush()
		return nil
	}
	// Its seats are for the beginning: what it costs later, it costs by events.
	begun := time.AfterFunc(watchBegins, c.ticket.Release)
	defer begun.Stop()
	s.pump(ctx, running, enc, out, s.metrics.events.WithLabelValues(c.info.Group, c.info.Version, c.info.Plural))
	return nil
}

// pump carries events from a watch to its client.
func (s *Server) pump(ctx context.Context, running *verb.Watch, enc *eventEncoder, out sink, sent prometheus.Counter) {
	var flushed time.Time
	for {
		events, err := running.Next(ctx)
		if err != nil {
			if !stderrors.Is(err, io.EOF) && ctx.Err() == nil {
				out.write(enc.failure(err))
				out.flush()
			}
			return
		}
		for i := range events {
			data, err := enc.event(running.Kind, &events[i])
			if err != nil {
				data = enc.failure(err)
			}
			if !out.write(data) {
				return
			}
		}
		sent.Add(float64(len(events)))
		// Only what follows close on something else waits; meanwhile more comes,
		// which Next gives at once.
		if wait := flushEvery - time.Since(flushed); wait > 0 {
			pause(ctx, wait)
		}
		if !out.flush() {
			return
		}
		flushed = time.Now()
	}
}

// pause waits, but not beyond the end of the context.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// untilStop bounds a context by the server's life.
func (s *Server) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.stopping, cancel)
	return out, func() { stop(); cancel() }
}

// sink is where a watch's events go. Its methods return false when the client
// is gone.
type sink interface {
	write(event []byte) bool
	flush() bool
	close()
}

// bodySink sends events as one response body without end.
type bodySink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *Server) newBodySink(w http.ResponseWriter, c *call, enc *eventEncoder) sink {
	h := w.Header()
	c.writeWarnings(h)
	h.Set("Content-Type", enc.contentType(c.answer.Stream))
	h.Set("Transfer-Encoding", "chunked")
	w.WriteHeader(http.StatusOK)
	out := &bodySink{w: w, control: http.NewResponseController(w)}
	out.flush()
	return out
}

func (b *bodySink) write(event []byte) bool {
	_, err := b.w.Write(event)
	return err == nil
}

func (b *bodySink) flush() bool { return b.control.Flush() == nil }

func (b *bodySink) close() {}

func (s *Server) eventEncoder(r *http.Request, c *call) (*eventEncoder, error) {
	enc := &eventEncoder{format: c.answer.Format, target: c.answer.Target}
	if enc.target == negotiate.Table {
		if err := enc.asTable(r.URL.Query().Get("includeObject")); err != nil {
			return nil, err
		}
	}
	if enc.format == codec.YAML {
		enc.format = codec.JSON
	}
	return enc, nil
}
