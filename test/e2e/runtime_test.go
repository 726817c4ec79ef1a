package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// The counter prints so many numbered lines, the last ones when it is told to.
const (
	counted = 100_000
	last    = 500
)

// counter prints over a second or so, waits for a file in a folder of the node,
// and then prints the rest and ends with 42.
var counter = fmt.Sprintf(`count() { awk -v a=$1 -v b=$2 'BEGIN { for (n = a; n <= b; n++) print "line " n " of the counter" }'; }
i=0; while [ $i -lt 995 ]; do count $((i*100+1)) $((i*100+100)); i=$((i+1)); done
until [ -e /gate/go ]; do sleep 0.05; done
count %d %d; exit 42`, counted-last+1, counted)

// The runtime is killed again and again while a container prints, and it is
// dead while the container ends: no line is missing, and the exit code is
// known.
func TestRuntimeIsKilledWhileAContainerPrints(t *testing.T) {
	s := cluster.Space(t)
	s.Apply(t, sleeper("bystander"))
	bystander := s.Ready(t, "bystander")
	gate := t.TempDir()
	s.Apply(t, shellPod("counter", counter, "volumeMounts: [{name: gate, mountPath: /gate}]")+"  volumes: [{name: gate, hostPath: {path: "+gate+", type: Directory}}]\n")
	s.Pod(t, "counter", "running", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	for range 5 {
		cluster.Kill(t, harness.Runtime)
		runtimeAnswers(t)
	}
	harness.Await(t, harness.Patience, "last line before the pause", func(context.Context) error {
		if tail := s.Logs(t, "counter", "--tail=1"); !strings.HasPrefix(tail, fmt.Sprintf("line %d ", counted-last)) {
			return fmt.Errorf("the log ends with %q", tail)
		}
		return nil
	})
	resume := cluster.Suspend(t, harness.Keep)
	cluster.Kill(t, harness.Runtime)
	harness.Await(t, harness.Patience, "end of the runtime", func(context.Context) error {
		if pid := cluster.PID(t, harness.Runtime); pid != 0 {
			return fmt.Errorf("it is process %d", pid)
		}
		return nil
	})
	if !cluster.Has(t, "of the counter") {
		t.Error("the counter has ended before the runtime was dead")
	}
	if err := os.WriteFile(filepath.Join(gate, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, harness.Patience, "end of the counter", func(context.Context) error {
		if cluster.Has(t, "of the counter") {
			return errors.New("it goes on")
		}
		return nil
	})
	resume()
	runtimeAnswers(t)
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

// runtimeAnswers waits until the runtime does its work again.
func runtimeAnswers(t *testing.T) {
	t.Helper()
	harness.Await(t, harness.Patience, "answer of the runtime", func(ctx context.Context) error {
		return cluster.Try(ctx, harness.Input{Argv: []string{cluster.Knarr, "image", "ls"}}).Err
	})
}
