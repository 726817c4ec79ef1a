package e2e

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Up on a running cluster changes nothing; down and up bring the same cluster
// back, with its pods started anew; down takes back what it did to the machine
// and to the kubeconfig.
func TestDownAndUpKeepTheCluster(t *testing.T) {
	s := cluster.Space(t)
	s.Apply(t, sleeper("keeper"))
	before := s.Ready(t, "keeper")
	if out := cluster.Up(t.Context()); out.Err != nil || !strings.Contains(out.Stdout, `"already":true`) {
		t.Fatalf("up on a running cluster: %s", out)
	}
	if now := s.Ready(t, "keeper"); now.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID {
		t.Error("up on a running cluster has restarted a container")
	}
	down(t)
	if context := currentContext(t); context != "" {
		t.Errorf("after down the current context is %q: there was none before up", context)
	}
	if out := cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up after down: %s", out)
	}
	if context := currentContext(t); context != "knarr" {
		t.Errorf("after up the current context is %q", context)
	}
	after := s.Pod(t, "keeper", "restarted", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Running != nil &&
			p.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID
	})
	if after.UID != before.UID {
		t.Error("the pod is another one")
	}
	s.Ready(t, "keeper")
}

// down takes the cluster down and looks at what stays of its processes.
func down(t *testing.T) {
	t.Helper()
	if out := cluster.Down(t.Context()); out.Err != nil {
		t.Fatalf("down: %s", out)
	}
	now, err := cluster.Footprint()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range now.WithoutFiles() {
		for _, kind := range []string{"mount ", "cgroup ", "process ", "nftables "} {
			if strings.HasPrefix(line, kind) {
				t.Errorf("down has left %s", line)
			}
		}
	}
}

// The caller's own context is current again after down, and the file is the
// caller's alone.
func TestDownRestoresTheContextThatWasCurrent(t *testing.T) {
	down(t)
	path := cluster.Kubeconfig()
	own := `apiVersion: v1
kind: Config
current-context: mine
contexts:
- name: mine
  context: {cluster: mine, user: me}
clusters:
- name: mine
  cluster: {server: "https://mine.example:6443"}
users:
- name: me
  user: {token: abc}
`
	if err := os.WriteFile(path, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up: %s", out)
	}
	if got := currentContext(t); got != "knarr" {
		t.Errorf("after up the current context is %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig with the administrator's key: %v %v", info.Mode(), err)
	}
	down(t)
	if got := currentContext(t); got != "mine" {
		t.Errorf("after down the current context is %q", got)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "knarr") || !strings.Contains(string(text), "https://mine.example:6443") {
		t.Errorf("after down the kubeconfig is (%v)\n%s", err, text)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if out := cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up: %s", out)
	}
	api, err := cluster.API()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.CoreV1().Nodes().Get(t.Context(), "e2e", metav1.GetOptions{}); err != nil {
		t.Errorf("the cluster after all that: %v", err)
	}
}

func currentContext(t *testing.T) string {
	t.Helper()
	out := cluster.BuiltIn().Try(t, "config", "current-context")
	return strings.TrimSpace(out.Stdout)
}
