package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// counted is how many lines the counter prints.
const counted = 100_000

// counter prints numbered lines over a few seconds and ends with 42.
const counter = `i=0; while [ $i -lt 100 ]; do awk -v i=$i 'BEGIN { for (n = 1; n <= 1000; n++) print "line " i*1000+n " of the counter" }'; i=$((i+1)); sleep 0.03; done; exit 42`

// The runtime is killed again and again while a container prints, and when it
// ends: no line is missing, and the exit code is known.
func TestRuntimeIsKilledWhileAContainerPrints(t *testing.T) {
	s := cluster.Space(t)
	s.Apply(t, sleeper("bystander"))
	bystander := s.Ready(t, "bystander")
	s.Apply(t, shellPod("counter", counter))
	s.Pod(t, "counter", "running", func(p *corev1.Pod) bool { return p.Status.Phase != corev1.PodPending })
	kills := 0
	harness.Await(t, time.Minute, "end of the counter", func(context.Context) error {
		running := cluster.Has(t, "of the counter")
		if cluster.TryKill(t, harness.Runtime) != 0 {
			kills++
		}
		if running {
			return errors.New("it prints")
		}
		return nil
	})
	if kills < 2 {
		t.Errorf("the runtime was killed %d times only", kills)
	}
	t.Logf("the runtime was killed %d times", kills)
	pod := s.Ended(t, "counter")
	if end := pod.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 42 {
		t.Errorf("the container's end is %+v, want exit code 42", end)
	}
	lines := strings.Split(strings.TrimSuffix(s.Logs(t, "counter"), "\n"), "\n")
	if len(lines) != counted {
		t.Errorf("the log has %d lines, want %d", len(lines), counted)
	}
	for i, line := range lines {
		if want := fmt.Sprintf("line %d of the counter", i+1); line != want {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
	now := s.Ready(t, "bystander")
	if now.Status.ContainerStatuses[0].ContainerID != bystander.Status.ContainerStatuses[0].ContainerID {
		t.Error("another container was restarted")
	}
	is(t, s.Exec(t, "bystander", "echo", "alive"), "alive")
}
