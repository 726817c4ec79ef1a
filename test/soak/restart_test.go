package soak

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// restarted are the processes that are killed, in this order. Whoever ends
// keep starts the cluster again.
var restarted = []string{harness.Runtime, harness.Server, harness.Edge, harness.Keep}

// restart kills a process of the cluster and waits until it is back.
func restart(t *testing.T, words string) {
	t.Helper()
	killed := cluster.Kill(t, words)
	if words == harness.Keep {
		if out := cluster.Up(context.WithoutCancel(t.Context())); out.Err != nil {
			t.Fatalf("up after keep was killed: %s", out)
		}
	}
	harness.Await(t, harness.Patience, "process in the place of "+words, func(context.Context) error {
		if now := cluster.PID(t, words); now == 0 || now == killed {
			return errors.New("it does not run")
		}
		return nil
	})
	harness.Await(t, harness.Patience, "node that is ready", nodeReady)
}

// nodeReady tells whether the API answers and the node takes pods.
func nodeReady(ctx context.Context) error {
	node, err := api.CoreV1().Nodes().Get(ctx, harness.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" && len(node.Spec.Taints) == 0 {
			return nil
		}
	}
	return errors.New("it is not ready")
}
