package kubeletapi

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/podstate"
)

// The previous run of a container is the one of which its status tells the
// last end: of one that waits to be run again, the newest.
func TestPreviousRun(t *testing.T) {
	run := func(id string, state runtimeapi.ContainerState) *podstate.Instance {
		return &podstate.Instance{Status: &runtimeapi.ContainerStatus{Id: id, State: state}}
	}
	const running, exited = runtimeapi.ContainerState_CONTAINER_RUNNING, runtimeapi.ContainerState_CONTAINER_EXITED
	for name, c := range map[string]struct {
		list []*podstate.Instance
		last string // in the status
		want string
	}{
		"crashed once":             {[]*podstate.Instance{run("a", exited)}, "a", "a"},
		"crashed twice":            {[]*podstate.Instance{run("b", exited), run("a", exited)}, "b", "b"},
		"runs again":               {[]*podstate.Instance{run("b", running), run("a", exited)}, "a", "a"},
		"runs again, not told yet": {[]*podstate.Instance{run("b", running), run("a", exited)}, "", "a"},
		"ended for good":           {[]*podstate.Instance{run("a", exited)}, "", ""},
		"runs for the first time":  {[]*podstate.Instance{run("a", running)}, "", ""},
	} {
		st := corev1.ContainerStatus{Name: "app"}
		if c.last != "" {
			st.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ContainerID: "knarr://" + c.last}
		}
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{st}}}
		got := ""
		if i := previousOf(c.list, pod, "app"); i != nil {
			got = i.ID()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWhyThereAreNoLogs(t *testing.T) {
	for reason, want := range map[string]string{
		"": "ContainerCreating", "PodInitializing": "PodInitializing",
		"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image",
	} {
		st := corev1.ContainerStatus{Name: "app"}
		if reason != "" {
			st.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason}
		}
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{st}}}
		if got := waitingReason(pod, "app"); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
}
