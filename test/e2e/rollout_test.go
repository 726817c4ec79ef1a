package e2e

import "testing"

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
	s.Kubectl.Run(t, "wait", "pods", "-l", "app=front", "--for=condition=Ready", "--timeout=1m")
	unharmed(t, loads)
	for _, l := range loads {
		l.Stop()
		answered, failed := l.Count()
		t.Logf("%s: %d of %d failed", l, len(failed), answered+len(failed))
	}
}
