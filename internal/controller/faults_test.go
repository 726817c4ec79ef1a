package controller_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	apirequest "github.com/knarr-io/knarr/internal/api/request"
)

// fault is what befalls a write of the controllers.
type fault int

const (
	none fault = iota
	conflict
	lost // carried out, but the answer does not arrive
	dead // so are the controllers: nothing is carried out any more
)

// faults befall the writes of all controllers, in the order in which they
// come.
type faults struct {
	mu     sync.Mutex
	turns  []fault // in turn, for ever; none: no faults
	writes int     // so far
	left   int     // until the controllers are dead; negative: never
	forced []string
}

var errDead = errors.New("the controllers are dead")

func (f *faults) next() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return dead
	}
	f.left--
	f.writes++
	if len(f.turns) == 0 {
		return none
	}
	return f.turns[f.writes%len(f.turns)]
}

// dieAfter lets the controllers die after some more writes.
func (f *faults) dieAfter(writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = writes
}

// revive lets the next controllers live.
func (f *faults) revive() { f.dieAfter(-1) }

// become changes which faults befall the writes that come.
func (f *faults) become(turns []fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turns = turns
}

// note remembers pods that were deleted without grace, as no pod with a node is
// before that has stopped it.
func (f *faults) note(req *apirequest.Request) {
	grace := req.DeleteOptions.GracePeriodSeconds
	if req.Verb != apirequest.Delete || req.Kind.Resource != "pods" || grace == nil || *grace != 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forced = append(f.forced, req.Name)
}

func (f *faults) deletedByForce() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forced
}

// between puts the faults between controllers and the API.
func (f *faults) between(t apirequest.Transport) apirequest.Transport { return faulty{t, f} }

type faulty struct {
	apirequest.Transport
	*faults
}

// Do implements request.Transport.
func (f faulty) Do(ctx context.Context, req *apirequest.Request) (runtime.Object, error) {
	if req.Verb == apirequest.Get || req.Verb == apirequest.List {
		return f.Transport.Do(ctx, req)
	}
	f.note(req)
	switch f.next() {
	case dead:
		return nil, errDead
	case conflict:
		if req.Verb != apirequest.Create {
			return nil, apierrors.NewConflict(req.Kind.GroupResource(), req.Name, errors.New("somebody else was faster"))
		}
	case lost:
		if _, err := f.Transport.Do(ctx, req); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s %s %s: the answer was lost", req.Verb, req.Kind.Resource, req.Name)
	}
	return f.Transport.Do(ctx, req)
}
