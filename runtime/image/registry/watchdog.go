package registry

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/knarr-io/knarr/runtime/fault"
)

// patient is a transport whose answers end when their server sends nothing
// for some time: manifests and configurations as well as layers.
type patient struct {
	*http.Transport
	stall time.Duration
}

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = watch(resp.Body, p.stall)
	}
	return resp, err
}

// watchdog closes what it reads from when that gives nothing for some time. What
// the reader does between two reads, as writing to a slow disk, does not count.
type watchdog struct {
	r     io.ReadCloser
	after time.Duration
	timer *time.Timer
	fired atomic.Bool
}

func watch(r io.ReadCloser, after time.Duration) *watchdog {
	w := &watchdog{r: r, after: after}
	w.timer = time.AfterFunc(after, func() {
		w.fired.Store(true)
		r.Close()
	})
	w.stop()
	return w
}

func (w *watchdog) Read(p []byte) (int, error) {
	w.timer.Reset(w.after)
	n, err := w.r.Read(p)
	w.stop()
	if err != nil && err != io.EOF && w.stalled() {
		err = fault.New(fault.Unavailable, "the registry has sent nothing for %s", w.after)
	}
	return n, err
}

func (w *watchdog) stop() { w.timer.Stop() }

// Close ends both the watch and what is watched.
func (w *watchdog) Close() error {
	w.stop()
	return w.r.Close()
}

// stalled says whether the watchdog has closed the reader.
func (w *watchdog) stalled() bool { return w.fired.Load() }
