package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// otherNode is the node of the machine that joins.
const otherNode = "other"

// A second machine joins, by the command that a token comes with, a cluster of
// one with two nodes; pods of all three reach each other. It goes and comes
// back; what is not a token of this cluster lets nobody in.
func TestMachineJoins(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, func(c *harness.Cluster) { t.Logf("server:\n%s", c.ServiceLog("server")) })
	if out := c.Up(t.Context(), "--nodes", "2"); out.Err != nil {
		t.Fatalf("up --nodes 2: %s", out)
	}
	told := c.Run(t, harness.Input{Argv: []string{c.Knarr, "token", "create", "--description", "the second machine"}})
	server, token := joinCommand(t, told)
	other := neighbour(t, c)
	refused := other.Up(t.Context(), "--server", server, "--token", "aaaaaa"+token[6:])
	if refused.Err == nil || !strings.Contains(refused.Stderr, "knarr token create") {
		t.Errorf("up with another token: %s", refused)
	}
	if out := other.Up(t.Context(), "--server", server, "--token", token); out.Err != nil {
		t.Fatalf("up --server: %s", out)
	}
	id, _, _ := strings.Cut(token, ".")
	tokens := []string{c.Knarr, "token"}
	hasWords(t, c.Run(t, harness.Input{Argv: append(tokens, "ls")}), id, "the second machine")
	c.Run(t, harness.Input{Argv: append(tokens, "rm", id)}) // who has joined needs it no more

	for _, machine := range []*harness.Cluster{c, other} {
		if err := machine.Import(t.Context(), "docker.io_library_busybox"); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Space(t)
	s.Apply(t, onNode(harness.NodeName, answering("one"))+onNode(otherNode, answering("two"))+onNode(node2, answering("three"))+service("two")+service("three"))
	one, two, three := s.Ready(t, "one"), s.Ready(t, "two"), s.Ready(t, "three")
	for _, p := range []struct{ from, to *corev1.Pod }{{one, two}, {two, one}, {two, three}, {three, two}} {
		s.ExecUntil(t, p.to.Name, p.from.Name, "wget", "-q", "-O-", "http://"+p.to.Status.PodIP+":8080/")
	}
	s.ExecUntil(t, "three", "two", "wget", "-q", "-O-", "http://three."+s.Name+".svc.cluster.local:8080/")
	s.ExecUntil(t, "two", "two", "wget", "-q", "-O-", "http://two."+s.Name+".svc.cluster.local:8080/")
	hasWords(t, s.Kubectl.Run(t, "get", "--raw", "/api/v1/nodes/"+otherNode+"/proxy/stats/summary"), "two")
	status := other.Run(t, harness.Input{Argv: []string{other.Knarr, "status"}})
	hasWords(t, status, "a node of the cluster at "+server, otherNode, "Ready")

	if out := other.Down(t.Context()); out.Err != nil {
		t.Fatalf("down: %s", out)
	}
	if out := other.Up(t.Context()); out.Err != nil {
		t.Fatalf("up again: %s", out)
	}
	s.ExecUntil(t, "two", "two", "hostname")
	if err := s.API.CoreV1().Nodes().Delete(t.Context(), otherNode, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// joinCommand takes the command apart that a person is to type.
func joinCommand(t *testing.T, told string) (server, token string) {
	t.Helper()
	for line := range strings.Lines(told) {
		if n, err := fmt.Sscanf(strings.TrimSpace(line), "knarr up --server %s --token %s", &server, &token); err == nil && n == 2 {
			return server, token
		}
	}
	t.Fatalf("no command to join with in:\n%s", told)
	return "", ""
}

// neighbour is a machine on the other end of the cluster's link.
func neighbour(t *testing.T, c *harness.Cluster) *harness.Cluster {
	t.Helper()
	other := &harness.Cluster{Machine: c.Machine.Neighbour(), Knarr: c.Knarr, Images: c.Images, Dir: filepath.Join(c.Dir, otherNode),
		Env: []string{"KNARR_NODE_NAME=" + otherNode, "KNARR_CGROUP_PARENT=" + c.CgroupParent() + "-" + otherNode}}
	if err := os.Mkdir(other.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("agent:\n%s", other.ServiceLog("agent"))
		}
		if out := other.Down(context.Background(), "--purge"); out.Err != nil {
			t.Errorf("down --purge of the second machine: %s", out)
		}
	})
	return other
}

// service leads to a pod's port 8080.
func service(pod string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {selector: {app: %s}, ports: [{port: 8080}]}\n---\n", pod, pod)
}
