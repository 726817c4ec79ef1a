package robustness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/knarr-io/knarr/test/robustness/history"
)

// A server that was just started takes its last 2,000 changes for events, and
// keeps history for five minutes: a watch from so young a revision must not be
// too old.
const (
	keeps        = 4 * time.Minute
	keepsChanges = 1500
)

// watcher watches a resource. Its follower goes on where it was cut off and
// sees the whole round; the others begin anywhere.
type watcher struct {
	round    *round
	api      *api
	resource resource
	random   *rand.Rand
	from     uint64 // everything up to here was told
}

// follow watches without a gap until ctx ends.
func (w *watcher) follow(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := w.watch(ctx, w.from, 60, func(history.Event) bool { return true })
		w.from = s.Through
		if err != nil {
			linger(ctx, 10*time.Millisecond)
		}
	}
}

// wander watches from one revision after the other, for a few events or a
// second each, or lists and watches in one request, until ctx ends.
func (w *watcher) wander(ctx context.Context) {
	for ctx.Err() == nil {
		wanted := 1 + w.random.IntN(60)
		more := func(history.Event) bool { wanted--; return wanted > 0 }
		var err error
		if w.random.IntN(4) == 0 {
			err = w.initial(ctx, more)
		} else {
			_, err = w.watch(ctx, w.anywhere(), 1+w.random.IntN(2), more)
		}
		if err != nil {
			linger(ctx, 10*time.Millisecond)
		}
	}
}

// anywhere is a revision of the round, a young one mostly.
func (w *watcher) anywhere() uint64 {
	low, high := w.round.start, w.round.revisions.newest()
	if w.random.IntN(4) > 0 && high > low+keepsChanges {
		low = high - keepsChanges
	}
	if high <= low {
		return low
	}
	return low + w.random.Uint64N(high-low)
}

// catchUp watches until an object's version is seen.
func (w *watcher) catchUp(ctx context.Context, key history.Key, version history.Version) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for seen := false; !seen; {
		s, err := w.watch(ctx, w.from, 30, func(e history.Event) bool {
			seen = e.Key == key && e.Version == version
			return !seen
		})
		w.from = s.Through
		if ctx.Err() != nil {
			return fmt.Errorf("a watch of %s has come to revision %d, and not to %+v: %w", w.resource.name, w.from, version, errors.Join(err, ctx.Err()))
		}
		if err != nil {
			linger(ctx, 10*time.Millisecond)
		}
	}
	return nil
}

// frame is an event as it comes.
type frame struct {
	Type   string `json:"type"`
	Object struct {
		object
		Code    int    `json:"code"` // of a status
		Message string `json:"message"`
	} `json:"object"`
}

// open starts a watch.
func (w *watcher) open(ctx context.Context, query url.Values, seconds int) (*http.Response, error) {
	query.Set("watch", "true")
	query.Set("allowWatchBookmarks", "true")
	query.Set("timeoutSeconds", strconv.Itoa(seconds))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api.base+w.resource.collection(w.round.namespace)+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return w.api.http.Do(request)
}

// watch watches from a revision on, until more is false, the watch ends or the
// connection does, and takes down what it was told.
func (w *watcher) watch(ctx context.Context, from uint64, seconds int, more func(history.Event) bool) (history.Stream, error) {
	s := history.Stream{Resource: w.resource.name, From: from, Through: from}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+5)*time.Second)
	defer cancel()
	response, err := w.open(ctx, url.Values{"resourceVersion": {strconv.FormatUint(from, 10)}}, seconds)
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s, w.refused(response, from)
	}
	err = w.read(json.NewDecoder(response.Body), &s, more)
	w.round.history.Stream(s)
	return s, err
}

// refused tells why there is no watch.
func (w *watcher) refused(response *http.Response, from uint64) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	err = strange(answer{response.StatusCode, text})
	var odd strangeAnswer
	if errors.As(err, &odd) {
		w.odd(fmt.Sprintf("a watch of %s from %d: %v", w.resource.name, from, err), from, odd.code)
	}
	return err
}

// odd notes an answer, but for one that says that a revision is too old where
// it may be.
func (w *watcher) odd(what string, from uint64, code int) {
	old := w.round.clock() > keeps || w.round.revisions.newest() > from+keepsChanges
	if code != http.StatusGone || !old {
		w.round.notes.add("%s", what)
	}
}

// read reads events into a stream.
func (w *watcher) read(frames *json.Decoder, s *history.Stream, more func(history.Event) bool) error {
	for {
		var f frame
		if err := frames.Decode(&f); err != nil {
			return err
		}
		switch f.Type {
		case "BOOKMARK":
			s.Through = max(s.Through, f.Object.revision())
			continue
		case "ERROR":
			w.odd(fmt.Sprintf("a watch of %s from %d ends at %d with %d %s", w.resource.name, s.From, s.Through, f.Object.Code, f.Object.Message), s.From, f.Object.Code)
			return errors.New(f.Object.Message)
		}
		e := w.event(f)
		s.Events = append(s.Events, e)
		s.Through = max(s.Through, e.Version.Revision)
		w.round.revisions.see(e.Version.Revision)
		if !more(e) {
			return nil
		}
	}
}

func (w *watcher) event(f frame) history.Event {
	return history.Event{Key: history.Key{Resource: w.resource.name, Name: f.Object.Metadata.Name},
		Change: history.Change(f.Type), Version: f.Object.version(), At: w.round.clock()}
}

// initial lists and watches in one request: what comes before the bookmark that
// ends the list is a list, the rest a watch from there.
func (w *watcher) initial(ctx context.Context, more func(history.Event) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 7*time.Second)
	defer cancel()
	l := history.Listing{Resource: w.resource.name, Call: w.round.clock(), Objects: map[string]history.Version{}}
	response, err := w.open(ctx, url.Values{"sendInitialEvents": {"true"}, "resourceVersionMatch": {"NotOlderThan"}}, 2)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return w.refused(response, 0)
	}
	frames := json.NewDecoder(response.Body)
	for {
		var f frame
		if err := frames.Decode(&f); err != nil {
			return err
		}
		if f.Type == "BOOKMARK" && f.Object.Metadata.Annotations["k8s.io/initial-events-end"] == "true" {
			l.Revision, l.Return = f.Object.revision(), w.round.clock()
			break
		}
		e := w.event(f)
		if e.Change != history.Added {
			w.round.notes.add("a list by a watch tells %v", e)
		}
		l.Objects[e.Key.Name] = e.Version
	}
	w.round.history.Listing(l)
	s := history.Stream{Resource: w.resource.name, From: l.Revision, Through: l.Revision}
	err = w.read(frames, &s, more)
	w.round.history.Stream(s)
	return err
}
