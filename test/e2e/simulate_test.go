package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// A cluster with simulated nodes runs pods on them, refuses what nobody can
// answer, keeps their number, and lets go of them.
func TestSimulatedNodes(t *testing.T) {
	c, err := harness.New(cluster.Knarr, cluster.Images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if out := c.Up(t.Context(), "--simulate", "20"); out.Err != nil {
		t.Fatal(out)
	}
	kubectl := func(args ...string) harness.Outcome {
		return c.Try(t.Context(), harness.Input{Argv: append([]string{c.Knarr, "kubectl"}, args...)})
	}
	if out := kubectl("create", "deployment", "web", "--image=none", "--replicas=40"); out.Err != nil {
		t.Fatal(out)
	}
	if out := kubectl("patch", "deployment", "web", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"type":"simulated"}}}}}`); out.Err != nil {
		t.Fatal(out)
	}
	if out := kubectl("rollout", "status", "deployment/web", "--timeout=4m"); out.Err != nil {
		t.Fatal(out)
	}
	if out := kubectl("logs", "deployment/web"); out.Err == nil || !strings.Contains(out.Stderr, "is simulated") {
		t.Errorf("logs of a simulated pod: %s", out)
	}
	harness.Await(t, harness.Patience, "status of 20 nodes that are ready", func(ctx context.Context) error {
		if out := c.Try(ctx, harness.Input{Argv: []string{c.Knarr, "status"}}); out.Err != nil || !strings.Contains(out.Stdout, "20 simulated nodes   20 Ready") {
			return errors.New(out.String())
		}
		return nil
	})
	if out := c.Up(t.Context()); out.Err != nil || !strings.Contains(out.Stdout, `"already":true`) {
		t.Errorf("up again: %s", out)
	}
	if out := c.Up(t.Context(), "--simulate", "0"); out.Err != nil {
		t.Fatal(out)
	}
	api, err := c.API()
	if err != nil {
		t.Fatal(err)
	}
	harness.Await(t, harness.Patience, "end of the simulated nodes and their pods", func(ctx context.Context) error {
		nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pods, err := api.CoreV1().Pods(corev1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err != nil {
			return err
		}
		if len(nodes.Items) > 1 || len(pods.Items) > 0 {
			return fmt.Errorf("there are %d nodes and %d running pods", len(nodes.Items), len(pods.Items))
		}
		return nil
	})
}
