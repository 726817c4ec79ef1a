package ecosystem

import (
	"strings"
	"testing"
)

// metrics-server from its own chart, as aggregated API: it asks the kubelets of
// both nodes, trusts their certificates, and `kubectl top` tells what it found.
func TestMetricsServer(t *testing.T) {
	images(t, "registry.k8s.io_metrics-server")
	m := pinned(t, "metrics-server", "sigs.k8s.io/metrics-server")
	name, namespace := m.String(), "metrics"
	tell(t, namespace)
	expect(t, name, "it becomes ready without flags that weaken it, and its API service available", func(t *testing.T) {
		helm(t, "install", "metrics-server", m.chart(t, "charts/metrics-server"), "-n", namespace, "--create-namespace", "--set", "image.tag="+m.Version)
		rolledOut(t, namespace, "metrics-server")
		kubectl("").Run(t, "wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout=4m")
	})
	expect(t, name, "kubectl top tells of both nodes and of pods", func(t *testing.T) {
		await(t, "", "e2e", "top", "nodes")
		if text := kubectl("").Run(t, "top", "nodes", "--no-headers"); strings.Count(text, "\n") != 2 || strings.Contains(text, "unknown") {
			t.Errorf("top nodes says\n%s", text)
		}
		await(t, namespace, "metrics-server", "top", "pods", "--containers")
	})
	expect(t, name, "its API goes with it", func(t *testing.T) {
		helm(t, "uninstall", "metrics-server", "-n", namespace, "--wait", "--timeout=90s")
		kubectl("").Run(t, "delete", "namespace", namespace, "--timeout=90s")
		kubectl("").Fails(t, []string{"not found"}, "get", "apiservice", "v1beta1.metrics.k8s.io")
		await(t, "", "e2e", "top", "nodes") // the cluster answers itself again
	})
}
