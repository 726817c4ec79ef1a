package robustness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/knarr-io/knarr/test/robustness/history"
)

// names are the objects of each resource that the clients contend for.
var names = []string{"a", "b", "c"}

// writer is a client: one request at a time.
type writer struct {
	id     int
	round  *round
	api    *api
	random *rand.Rand
	serial int
	// within bounds a request; zero for a bound that is drawn for each.
	within time.Duration
}

// run sends requests until ctx ends.
func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if w.random.IntN(20) == 0 {
			w.list(ctx)
			continue
		}
		op := w.request(ctx, w.choose())
		w.round.history.Operation(op)
		switch op.Outcome {
		case history.Lost:
			linger(ctx, 5*time.Millisecond)
		case history.Refused:
			linger(ctx, time.Millisecond)
			w.round.answered.add()
		default:
			w.round.answered.add()
		}
	}
}

// linger waits for a while, or until ctx ends.
func linger(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// choose makes up a request that is likely to succeed.
func (w *writer) choose() history.Operation {
	r := resources[w.random.IntN(len(resources))]
	op := history.Operation{Client: w.id, Key: history.Key{Resource: r.name, Name: names[w.random.IntN(len(names))]}}
	known := w.round.sights.latest(op.Key)
	switch n := w.random.IntN(100); {
	case n < 25:
		op.Verb = history.Get
	case known.Revision == 0 && n < 90 || n < 30:
		op.Verb = history.Create
	case n < 60:
		op.Verb = history.Update
	case n < 85:
		op.Verb = history.Patch
	default:
		op.Verb = history.Delete
	}
	if op.Verb == history.Update || op.Verb == history.Delete {
		op.Guard = max(known.Revision, 1) // of 1 was nothing of ours
	}
	if op.Verb != history.Get && op.Verb != history.Delete {
		w.serial++
		op.Value = fmt.Sprintf("r%d-c%d-%d", w.round.number, w.id, w.serial)
	}
	return op
}

// request sends a request and takes down how it was answered.
func (w *writer) request(ctx context.Context, op history.Operation) history.Operation {
	// What was sent runs to its end, so that few requests have no outcome.
	within := w.within
	if within == 0 {
		within = time.Duration(200+w.random.IntN(3000)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	method, path, contentType, body := w.encode(op)
	op.Call = w.round.clock()
	got, err := w.api.do(ctx, method, path, contentType, body)
	op.Return = w.round.clock()
	if err != nil {
		op.Outcome = history.Lost
		return op
	}
	op.Outcome = w.outcome(op, got)
	if op.Outcome == history.Done && op.Verb != history.Delete {
		var o object
		if err := json.Unmarshal(got.body, &o); err != nil {
			w.round.notes.add("%v: %v in %.300s", op, err, got.body)
		}
		op.Found = o.version()
	}
	w.round.sights.see(op)
	return op
}

func (w *writer) encode(op history.Operation) (method, path, contentType string, body []byte) {
	r := byName(op.Key.Resource)
	path = r.collection(w.round.namespace)
	o := object{APIVersion: r.apiVersion, Kind: r.kind, Metadata: metadata{Name: op.Key.Name,
		Annotations: map[string]string{valueKey: op.Value, "padding": strings.Repeat("x", w.random.IntN(1024))}}}
	switch op.Verb {
	case history.Get:
		return http.MethodGet, path + "/" + op.Key.Name, "", nil
	case history.Create:
		return http.MethodPost, path, "application/json", encoded(o)
	case history.Update:
		o.Metadata.ResourceVersion = strconv.FormatUint(op.Guard, 10)
		return http.MethodPut, path + "/" + op.Key.Name, "application/json", encoded(o)
	case history.Patch:
		return http.MethodPatch, path + "/" + op.Key.Name, "application/merge-patch+json", encoded(object{Metadata: metadata{Annotations: o.Metadata.Annotations}})
	}
	options := fmt.Sprintf(`{"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": "%d"}}`, op.Guard)
	return http.MethodDelete, path + "/" + op.Key.Name, "application/json", []byte(options)
}

func encoded(o object) []byte {
	body, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings only
	}
	return body
}

func byName(name string) resource {
	for _, r := range resources {
		if r.name == name {
			return r
		}
	}
	panic("no resource " + name)
}

// outcome reads a status. Answers that nothing explains are noted.
func (w *writer) outcome(op history.Operation, got answer) history.Outcome {
	var status struct {
		Reason string `json:"reason"`
	}
	if got.code >= 300 {
		_ = json.Unmarshal(got.body, &status)
	}
	switch {
	case got.code == http.StatusOK || got.code == http.StatusCreated:
		return history.Done
	case got.code == http.StatusNotFound && op.Verb != history.Create:
		return history.Missing
	case status.Reason == "AlreadyExists" && op.Verb == history.Create:
		return history.Exists
	case status.Reason == "Conflict" && op.Verb == history.Patch: // it gave up against the others
		return history.Refused
	case status.Reason == "Conflict":
		return history.Conflict
	case got.code == http.StatusTooManyRequests || got.code == http.StatusInsufficientStorage:
		return history.Refused
	case got.code == http.StatusServiceUnavailable || got.code == http.StatusGatewayTimeout:
		return history.Lost
	}
	w.round.notes.add("%v: %v", op, strangeAnswer{got})
	return history.Lost
}

// list lists a resource, in pages or not.
func (w *writer) list(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	call := w.round.clock()
	l, err := w.api.list(ctx, resources[w.random.IntN(len(resources))], w.round.namespace, w.random.IntN(3))
	l.Call, l.Return = call, w.round.clock()
	var odd strangeAnswer
	switch {
	case errors.As(err, &odd) && odd.code != http.StatusGone:
		w.round.notes.add("a list at %s: %v", call, err)
	case err != nil:
		linger(ctx, 5*time.Millisecond)
	default:
		w.round.history.Listing(l)
		w.round.answered.add()
	}
}

// sights is the newest version of each object that a client was told of.
type sights struct {
	mu    sync.Mutex
	known map[history.Key]history.Version // guarded by mu; revision 0: it was not there
}

func (s *sights) latest(key history.Key) history.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key]
}

func (s *sights) see(op history.Operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case op.Outcome == history.Missing || op.Outcome == history.Done && op.Verb == history.Delete:
		s.known[op.Key] = history.Version{}
	case op.Outcome == history.Done:
		s.known[op.Key] = op.Found
	}
}
