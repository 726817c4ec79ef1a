package local

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAmountsAreShort(t *testing.T) {
	for bytes, want := range map[uint64]string{812<<20 + 9: "812 MiB", 2 << 30: "2048 MiB", 48<<30 + 9: "48 GiB"} {
		if got := amount(bytes); got != want {
			t.Errorf("%d bytes: got %s, want %s", bytes, got, want)
		}
	}
}

func TestStatusSaysWhatHelpsANodeThatIsShort(t *testing.T) {
	for condition, want := range map[corev1.NodeConditionType]string{
		corev1.NodeDiskPressure: `node a: DiskPressure: upstream's text; it takes no new pods until some minutes after there is room again
    what to do: free some space on its disk (` + "`knarr image ls`" + ` lists the images), or set other limits: evictionHard in a --node-config`,
		corev1.NodeMemoryPressure: `node a: MemoryPressure: upstream's text; it takes no new pods of class BestEffort until some minutes after there is memory again
    what to do: ` + "`knarr kubectl top pods -A --sort-by=memory`" + ` shows who takes it`,
		corev1.NodePIDPressure: `node a: PIDPressure: upstream's text; it takes no new pods until some minutes after there are process ids again
    what to do: end what makes processes; podPidsLimit in a --node-config bounds a pod's`,
		"Example": "node a: Example: upstream's text",
	} {
		if got := pressure("a", corev1.NodeCondition{Type: condition, Message: "upstream's text"}); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// A pod that was evicted while it waited for its image tells of its end.
func TestStatusTellsHowAPodFailed(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: ephemeral-storage.",
		ContainerStatuses: []corev1.ContainerStatus{{Name: "a", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}}}
	if got, want := stuck(pod), "Evicted The node was low on resource: ephemeral-storage."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
