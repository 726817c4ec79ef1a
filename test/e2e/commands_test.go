package e2e

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// knarr runs the program under test, which must succeed.
func knarr(t *testing.T, args ...string) string {
	t.Helper()
	return cluster.Run(t, harness.Input{Argv: append([]string{cluster.Knarr}, args...)})
}

func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	hasWords(t, knarr(t, "version"), "knarr ", "Kubernetes API v1.36")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		hasWords(t, knarr(t, "completion", shell), "knarr")
	}
	hasWords(t, knarr(t, "__complete", "do"), "down")
}

// Status names the services, the node, and the pod that does not get on.
func TestStatusTellsWhatIsWrong(t *testing.T) {
	s := cluster.Space(t)
	hasWords(t, knarr(t, "status"), "SERVICE", "runtime", "server", "edge", "running", harness.NodeName, "Ready", "certificates:")
	s.Apply(t, strings.Replace(sleeper("stray"), busybox, "nowhere.invalid/nothing:1", 1))
	s.Pod(t, "stray", "waiting for its image", func(p *corev1.Pod) bool {
		w := harness.ContainerStatus(p, "main").State.Waiting
		return w != nil && (w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff")
	})
	out := cluster.Try(t.Context(), harness.Input{Argv: []string{cluster.Knarr, "status"}})
	if out.Code != 1 {
		t.Errorf("status ends with 1 where something is wrong: %s", out)
	}
	hasWords(t, out.Stdout, s.Name+"/stray", "nowhere.invalid/nothing:1")
}

// Up tells its steps in lines, and as objects for programs.
func TestUpTellsItsSteps(t *testing.T) {
	plain := knarr(t, "up")
	hasWords(t, plain, "check the machine", "start the services", "The cluster was up already", "knarr kubectl get pods -A", cluster.Kubeconfig())
	for line := range strings.SplitSeq(strings.TrimSpace(knarr(t, "up", "-o", "json")), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("this line is no JSON: %s", line)
		}
	}
}

// In the foreground the cluster goes when Ctrl-C comes, ready or not, and takes
// everything with it but its data.
func TestUpInTheForeground(t *testing.T) {
	t.Parallel()
	c, err := harness.New(cluster.Knarr, cluster.Images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	before, err := c.Footprint()
	if err != nil {
		t.Fatal(err)
	}
	for _, until := range []string{"start the services", "Ready in "} {
		up := c.Start(t, harness.Input{Argv: []string{c.Knarr, "up", "--foreground"}})
		up.Await(t, until)
		if until == "Ready in " {
			hasWords(t, c.BuiltIn().Run(t, "get", "nodes"), harness.NodeName, "Ready")
		}
		up.Signal(t, syscall.SIGINT)
		if err := up.Wait(t.Context()); err != nil {
			t.Errorf("after Ctrl-C: %v\n%s", err, up.Output())
		}
		after, err := c.Footprint()
		if err != nil {
			t.Fatal(err)
		}
		if left := after.WithoutFiles().Since(before.WithoutFiles()); len(left) > 0 {
			t.Errorf("after %q, left behind:\n%s", until, strings.Join(left, "\n"))
		}
	}
	if _, err := os.Stat(c.DataDir()); err != nil {
		t.Errorf("the data should be there: %v", err)
	}
	// A down that is interrupted leaves what the next one needs.
	if out := c.Up(t.Context()); out.Err != nil {
		t.Fatalf("up again: %s", out)
	}
	down := c.Start(t, harness.Input{Argv: []string{c.Knarr, "down"}})
	down.Await(t, "stop the server")
	down.Signal(t, syscall.SIGINT)
	_ = down.Wait(t.Context()) // whether it got through is a matter of time
}
