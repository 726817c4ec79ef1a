package registry

import (
	"io"
	"sync/atomic"
	"time"
)

// stallAfter is how long a registry may send nothing.
const stallAfter = time.Minute

// watchdog closes what it reads from when that gives nothing for stallAfter.
type watchdog struct {
	r     io.ReadCloser
	timer *time.Timer
	fired atomic.Bool
}

func watch(r io.ReadCloser) *watchdog {
	w := &watchdog{r: r}
	w.timer = time.AfterFunc(stallAfter, func() {
		w.fired.Store(true)
		r.Close()
	})
	return w
}

func (w *watchdog) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.timer.Reset(stallAfter)
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
