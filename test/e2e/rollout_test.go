package e2e

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// nginx is replaced, pod by pod, while requests come over new connections and
// over those that are open: none fails, though no pod has a preStop hook.
func TestRollingUpdateFailsNoRequest(t *testing.T) {
	s := cluster.Space(t)
	loads := traffic(t, s)
	for _, change := range [][]string{
		{"set", "image", "deployment/front", "nginx=" + nginxNext},
		{"rollout", "undo", "deployment/front"},
		{"rollout", "restart", "deployment/front"},
		{"scale", "deployment/front", "--replicas=1"},
		{"scale", "deployment/front", "--replicas=3"},
	} {
		s.Kubectl.Run(t, change...)
		s.Rollout(t, "front")
	}
	harness.Await(t, harness.Patience, "end of all former pods", func(ctx context.Context) error {
		pods, err := s.API.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) != 3 {
			err = fmt.Errorf("there are\n%s", s.Describe(ctx))
		}
		return err
	})
	unharmed(t, loads)
	for _, l := range loads {
		l.Stop()
		answered, failed := l.Count()
		t.Logf("%s: %d of %d failed", l, len(failed), answered+len(failed))
	}
}
