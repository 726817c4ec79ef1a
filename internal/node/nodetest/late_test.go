package nodetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/node/podstate"
)

// answer is what the agent learns of a request: ask makes it.
type answer func(req *request.Request, ask func() (runtime.Object, error)) (runtime.Object, error)

// line is the way from the agent to the API, with the world's answers.
type line struct {
	request.Transport
	world *world
}

func (l line) Do(ctx context.Context, req *request.Request) (runtime.Object, error) {
	ask := func() (runtime.Object, error) { return l.Transport.Do(ctx, req) }
	if change := l.world.answer.Load(); change != nil {
		return (*change)(req, ask)
	}
	return ask()
}

// A pod whose last status was written, but not answered, is deleted as any
// other.
func TestLostAnswerToLastStatus(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.kubelet.Logs.Every = time.Hour // a look at logs wakes the worker
	w.start()
	w.create(pod("a"))
	w.awaitReady("a")
	lost := answer(func(req *request.Request, ask func() (runtime.Object, error)) (runtime.Object, error) {
		obj, err := ask()
		p, isPod := req.Object.(*corev1.Pod)
		if err == nil && isPod && req.Verb == request.Update && req.Subresource == "status" && p.DeletionTimestamp != nil {
			return nil, errors.New("the connection broke")
		}
		return obj, err
	})
	w.answer.Store(&lost)
	w.delete("a", nil)
	w.awaitGone("a")
}

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
		w.node.Pods().Ended(t.Context(), p.UID, id), w.node.Pods().End(p.UID, podstate.Verdict{Reason: "Evicted", Deadline: time.Now()}, ""), make(chan struct{}),
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
