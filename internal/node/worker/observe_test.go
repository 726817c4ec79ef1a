package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/podstate"
)

// What the runtime tells may be old, but for one that it had lost track of.
func TestStatesOfAnInstanceGoForward(t *testing.T) {
	const created, running, exited, unknown = runtimeapi.ContainerState_CONTAINER_CREATED, runtimeapi.ContainerState_CONTAINER_RUNNING,
		runtimeapi.ContainerState_CONTAINER_EXITED, runtimeapi.ContainerState_CONTAINER_UNKNOWN
	for _, tc := range []struct {
		told []runtimeapi.ContainerState
		want runtimeapi.ContainerState
	}{
		{[]runtimeapi.ContainerState{running, created}, running},
		{[]runtimeapi.ContainerState{exited, running}, exited},
		{[]runtimeapi.ContainerState{running, unknown}, unknown},
		{[]runtimeapi.ContainerState{unknown, exited}, exited},
		{[]runtimeapi.ContainerState{unknown, running}, running},
		{[]runtimeapi.ContainerState{exited, unknown}, exited},
	} {
		w := &Worker{view: podstate.NewView(&corev1.Pod{}), seen: map[string]time.Time{}, waiters: map[string][]chan struct{}{}}
		for _, state := range tc.told {
			w.observeContainer("s", &runtimeapi.ContainerStatus{Id: "c", Metadata: &runtimeapi.ContainerMetadata{Name: "a"}, State: state})
		}
		if got := w.view.Newest("a").Status.GetState(); got != tc.want {
			t.Errorf("after %v: %v", tc.told, got)
		}
	}
}

// Those who follow the log of a container that runs on leave nothing behind;
// those who stay are told of its end.
func TestWhoLeavesDoesNotWaitForAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{view: podstate.NewView(&corev1.Pod{}), wake: make(chan struct{}, 1), seen: map[string]time.Time{}, waiters: map[string][]chan struct{}{}}
		m := &Manager{}
		m.mu.workers = map[types.UID]*entry{"u": {worker: w}}
		tell := func(state runtimeapi.ContainerState) {
			w.observeContainer("s", &runtimeapi.ContainerStatus{Id: "c", Metadata: &runtimeapi.ContainerMetadata{Name: "a"}, State: state})
		}
		tell(runtimeapi.ContainerState_CONTAINER_RUNNING)
		staying := m.Ended(t.Context(), "u", "c")
		ctx, leave := context.WithCancel(t.Context())
		for range 3 {
			m.Ended(ctx, "u", "c")
		}
		w.takeMail()
		leave()
		synctest.Wait()
		w.takeMail()
		if n := len(w.waiters["c"]); n != 1 {
			t.Errorf("%d wait where one has not left", n)
		}
		tell(runtimeapi.ContainerState_CONTAINER_EXITED)
		<-staying
		if len(w.waiters) > 0 {
			t.Errorf("left: %v", w.waiters)
		}
	})
}
