package nodetest_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/nodetest"
)

// away is what calls that are under way are answered when the runtime dies.
var away = status.Error(codes.Unavailable, "the runtime is away")

// count is how often the runtime was called so.
func (w *world) count(call string) (n int) {
	for _, c := range w.runtime.Calls() {
		if c == call {
			n++
		}
	}
	return n
}

// A runtime that dies between two answers has made what it was told to make:
// nothing is made twice, and nothing is asked for without end.
func TestNothingIsMadeTwiceWhenAnswersAreLost(t *testing.T) {
	for _, lost := range []string{nodetest.LostRun, "PodSandboxStatus", "ContainerStatus"} {
		t.Run(lost, func(t *testing.T) {
			w := newWorld(t)
			w.runtime.Silence()
			w.runtime.Fail(lost, away)
			w.create(pod("a"))
			w.awaitReady("a")
			if n := w.count("RunPodSandbox a"); n != 1 {
				t.Errorf("%d sandboxes were made", n)
			}
			if n := w.runtime.Containers(runtimeapi.ContainerState_CONTAINER_RUNNING); n != 1 {
				t.Errorf("%d containers run: %q", n, w.runtime.Calls())
			}
			w.runtime.Fail("PodSandboxStatus", slices.Repeat([]error{away}, 3)...)
			w.delete("a", nil)
			w.awaitGone("a")
			if n := w.count("StopPodSandbox a"); n != 1 {
				t.Errorf("the sandbox was stopped %d times", n)
			}
		})
	}
}
