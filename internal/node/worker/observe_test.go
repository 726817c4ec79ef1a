package worker

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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
