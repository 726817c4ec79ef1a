package nodetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/node/podstate"
)

// Who asks about a pod in the moment in which its worker ends is answered: the
// rotation of logs, the collection of images and evictions wait for it.
func TestAsksWhileWorkerEnds(t *testing.T) {
	w := newWorld(t)
	w.create(pod("a"))
	p := w.awaitReady("a")
	id := p.Status.ContainerStatuses[0].ContainerID
	waiting, release := w.runtime.Hold("RemovePodSandbox")
	w.delete("a", nil)
	w.eventually("the worker is about to end", func() bool { return waiting() > 0 })
	ended := []<-chan struct{}{
		w.node.Pods().Ended(p.UID, id), w.node.Pods().End(p.UID, podstate.Verdict{Reason: "Evicted", Deadline: time.Now()}, ""), make(chan struct{}),
	}
	looked := make(chan struct{})
	ended[2] = looked
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(looked)
		w.node.Pods().Look(ctx, p.UID)
	}()
	release()
	for i, what := range []string{"the end of an instance", "the end of a pod", "a look"} {
		w.eventually(what+" is told", func() bool {
			select {
			case <-ended[i]:
				return true
			default:
				return false
			}
		})
	}
}
