package e2e

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// The further nodes of a cluster, and the second one's address.
const (
	node2        = "knarr-node2"
	node3        = "knarr-node3"
	node2Address = "10.245.0.2"
)

// pages is a Deployment of one pod per node, that answers with the node's
// name, and a Service with a node port. Its pods leave a dead node soon.
const pages = `apiVersion: apps/v1
kind: Deployment
metadata: {name: pages}
spec:
  replicas: %d
  selector: {matchLabels: {app: pages}}
  template:
    metadata: {labels: {app: pages}}
    spec:
      terminationGracePeriodSeconds: 5
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - {weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: pages}}}}
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers:
      - name: web
        image: nginx:1.22
        ports: [{containerPort: 80}]
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1, timeoutSeconds: 60}
---
apiVersion: v1
kind: Service
metadata: {name: pages}
spec: {type: NodePort, selector: {app: pages}, ports: [{port: 80}]}
`

// several is a cluster of three nodes on a machine of its own.
type several struct{ *harness.Space }

// What crosses nodes, on one machine: pods, Services, names, streams, kills,
// and nodes that go.
func TestSeveralNodes(t *testing.T) {
	t.Parallel()
	c := more(t)
	s := c.Space
	s.Apply(t, fmt.Sprintf(pages, 3))
	s.Rollout(t, "pages")
	c.everyNodeHas(t, harness.NodeName, node2, node3)
	for _, p := range []struct{ name, node string }{{"one", harness.NodeName}, {"two", node2}} {
		s.Apply(t, onNode(p.node, strings.Replace(answering(p.name), "image: busybox", "ports: [{containerPort: 8080, hostPort: 18080}]\n    image: busybox", 1)))
	}
	t.Run("pods", c.podsAcross)
	t.Run("services", c.servicesAcross)
	t.Run("policies", c.policiesAcross)
	// The third node dies: the others have to find out while more is tried.
	c.Cluster.Run(t, c.knarr("node", "stop", "--now", node3))
	died := time.Now()
	t.Run("streams", c.streamsAcross)
	t.Run("kills", c.killsOnFurtherNode)
	t.Run("a dead node", func(t *testing.T) { c.deadNodeIsReplaced(t, died) })
	t.Run("rolling update", c.updateAcross)
	t.Run("a node comes and goes", c.nodeComesAndGoes)
}

// more brings three nodes up, and takes them down without a trace.
func more(t *testing.T) several {
	t.Helper()
	c := ownCluster(t, func(c *harness.Cluster) {
		t.Logf("agent of %s:\n%s", node2, c.ServiceLog(filepath.Join("..", "nodes", node2, "log", "agent")))
	})
	if out := c.Up(t.Context(), "--nodes", "3"); out.Err != nil {
		t.Fatalf("up --nodes 3: %s", out)
	}
	if err := c.Import(t.Context(), "docker.io_library_nginx", "docker.io_library_busybox"); err != nil {
		t.Fatal(err)
	}
	return several{c.Space(t)}
}

// ownCluster is a cluster of the test's own, which it brings up; it goes with
// the test without a trace. tell says more of a failure.
func ownCluster(t *testing.T, tell func(*harness.Cluster)) *harness.Cluster {
	t.Helper()
	c, err := harness.New(cluster.Knarr, cluster.Images)
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.Footprint()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if t.Failed() {
			tell(c)
		}
		if out := c.Down(ctx, "--purge"); out.Err != nil {
			t.Errorf("down --purge: %s", out)
		}
		if after, err := c.Footprint(); err != nil {
			t.Error(err)
		} else if left := after.WithoutFiles().Since(before.WithoutFiles()); len(left) > 0 {
			t.Errorf("the machine is not as it was:\n%s", strings.Join(left, "\n"))
		}
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c several) knarr(args ...string) harness.Input {
	return harness.Input{Argv: append([]string{c.Cluster.Knarr}, args...)}
}

// onNode binds a pod's manifest to a node.
func onNode(node, manifest string) string {
	return strings.Replace(manifest, "spec:\n", "spec:\n  nodeName: "+node+"\n", 1) + "---\n"
}

// everyNodeHas fails the test where a node has none of the pages' pods.
func (c several) everyNodeHas(t *testing.T, nodes ...string) {
	t.Helper()
	on := c.pagesByNode(t)
	for _, n := range nodes {
		if len(on[n]) == 0 {
			t.Errorf("no pod is on %s: they are on %v", n, on)
		}
	}
}

// pagesByNode are the living pods of the Deployment.
func (c several) pagesByNode(t *testing.T) map[string][]string {
	t.Helper()
	pods, err := c.API.CoreV1().Pods(c.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "app=pages"})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string][]string{}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			on[p.Spec.NodeName] = append(on[p.Spec.NodeName], p.Name)
		}
	}
	return on
}

// Pods talk at their own addresses, also by way of host ports, and are seen as
// the node on the outside.
func (c several) podsAcross(t *testing.T) {
	one, two := c.Ready(t, "one"), c.Ready(t, "two")
	for _, p := range []struct{ from, to *corev1.Pod }{{one, two}, {two, one}} {
		c.ExecUntil(t, p.to.Name, p.from.Name, "wget", "-q", "-O-", "http://"+p.to.Status.PodIP+":8080/")
		c.ExecUntil(t, p.to.Name, p.from.Name, "wget", "-q", "-O-", "http://"+p.to.Status.HostIP+":18080/")
		c.ExecUntil(t, p.from.Name, p.from.Name, "wget", "-q", "-O-", "http://"+p.from.Status.HostIP+":18080/")
	}
	if two.Status.HostIP != node2Address {
		t.Errorf("the second node is at %s, want %s", two.Status.HostIP, node2Address)
	}
	harness.AwaitPage(t, c.Cluster.Machine.Dial, "http://"+two.Status.PodIP+":8080/", "", "two")
	l, err := c.Cluster.Machine.ListenOutside("tcp4", c.Cluster.Machine.OutsideAddress.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_ = conn.Close()
		}
	}()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	c.Exec(t, "two", "sh", "-c", "echo | nc -w 60 "+c.Cluster.Machine.OutsideAddress.String()+" "+port)
}

// A Service leads to pods of both nodes, from pods and nodes of both, and by
// its name.
func (c several) servicesAcross(t *testing.T) {
	svc, err := c.API.CoreV1().Services(c.Name).Get(t.Context(), "pages", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodePort := svc.Spec.Ports[0].NodePort
	for _, from := range []string{"one", "two"} {
		c.ExecUntil(t, svc.Spec.ClusterIP, from, "nslookup", "pages."+c.Name+".svc.cluster.local")
		for _, url := range []string{
			"http://" + svc.Spec.ClusterIP, fmt.Sprintf("http://%s:%d", node2Address, nodePort), fmt.Sprintf("http://%s:%d", c.Cluster.Machine.Address, nodePort),
		} {
			c.ExecUntil(t, "nginx", from, "wget", "-q", "-O-", url)
		}
	}
	for _, node := range []string{node2Address, c.Cluster.Machine.Address.String()} {
		harness.AwaitPage(t, c.Cluster.Machine.Dial, fmt.Sprintf("http://%s:%d/", node, nodePort), "", "nginx")
	}
}

// Logs, exec, port-forward and the node's proxy reach the second node.
func (c several) streamsAcross(t *testing.T) {
	c.Apply(t, onNode(node2, shellPod("talker", "echo hello from two; "+wait)))
	c.Ready(t, "talker")
	is(t, c.LogsUntil(t, "talker", "hello from two\n"), "hello from two")
	hasWords(t, c.Kubectl.Run(t, "get", "--raw", "/api/v1/nodes/"+node2+"/proxy/stats/summary"), "talker", node2)
	forward := c.Kubectl.Start(t, "port-forward", "pod/two", "28080:8080")
	forward.Await(t, "Forwarding from")
	harness.AwaitPage(t, c.Cluster.Machine.Dial, "http://127.0.0.1:28080/", "", "two")
	forward.Stop()
}

// What is killed on the second node comes back, and its pods do not notice.
func (c several) killsOnFurtherNode(t *testing.T) {
	before := containers(t, c.Space)
	own := "nodes/" + node2
	for _, words := range []string{"agent --data-dir " + c.Cluster.DataDir() + "/" + own, "serve --socket " + c.Cluster.RunDir() + "/" + own, "edge --kubeconfig " + c.Cluster.DataDir() + "/" + own} {
		c.Cluster.Kill(t, words)
	}
	c.Apply(t, onNode(node2, sleeper("after-kill")))
	c.Ready(t, "after-kill")
	c.Cluster.Kill(t, "knarr-keep --socket "+c.Cluster.RunDir()+"/"+own)
	if out := c.Cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up after a keep was killed: %s", out)
	}
	c.ExecUntil(t, "10.96.0.1", "two", "nslookup", "kubernetes.default.svc.cluster.local")
	after := containers(t, c.Space)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("container %s was %s, is %s", name, was, after[name])
		}
	}
}

// updateAcross replaces pods on two nodes under traffic that comes in by both.
func (c several) updateAcross(t *testing.T) {
	svc, err := c.API.CoreV1().Services(c.Name).Get(t.Context(), "pages", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := svc.Spec.Ports[0].NodePort
	c.Kubectl.Run(t, "scale", "deployment/pages", "--replicas=4")
	c.Rollout(t, "pages")
	loads := []*harness.Load{
		harness.NewLoad(t, c.Cluster.Machine.Dial, "http://"+svc.Spec.ClusterIP+"/", "", harness.NewConnections),
		harness.NewLoad(t, c.Cluster.Machine.Dial, fmt.Sprintf("http://%s:%d/", node2Address, port), "", harness.NewConnections),
		harness.NewLoad(t, c.Cluster.Machine.DialOutside, fmt.Sprintf("http://%s:%d/", c.Cluster.Machine.Address, port), "", harness.KeepAlive),
	}
	for range 2 {
		c.Kubectl.Run(t, "rollout", "restart", "deployment/pages")
		c.Rollout(t, "pages")
	}
	unharmed(t, loads)
	for _, l := range loads {
		l.Stop()
		answered, failed := l.Count()
		t.Logf("%s: %d of %d failed", l, len(failed), answered+len(failed))
	}
	c.everyNodeHas(t, harness.NodeName, node2)
}

// The dead node's pod is replaced on a living one once its toleration is over.
func (c several) deadNodeIsReplaced(t *testing.T, died time.Time) {
	harness.Await(t, harness.Patience, "replacement of the dead node's pods", func(context.Context) error {
		on := c.pagesByNode(t)
		if living := len(on[harness.NodeName]) + len(on[node2]); living != 3 {
			return fmt.Errorf("they are on %v", on)
		}
		return nil
	})
	t.Logf("the pods of a dead node were replaced after %s", time.Since(died).Round(time.Second))
	out := c.Cluster.Try(t.Context(), c.knarr("status"))
	hasWords(t, out.Stdout, node3+" is stopped", "NotReady")
}

// A node that was switched off comes back; one that is removed does not.
func (c several) nodeComesAndGoes(t *testing.T) {
	c.Cluster.Run(t, c.knarr("node", "start", node3))
	c.Apply(t, onNode(node3, answering("three")))
	three := c.Ready(t, "three")
	c.ExecUntil(t, "three", "two", "wget", "-q", "-O-", "http://"+three.Status.PodIP+":8080/")
	c.Cluster.Run(t, c.knarr("node", "rm", node3))
	if names := c.Kubectl.Run(t, "get", "nodes", "-o", "name"); strings.Contains(names, node3) {
		t.Errorf("the nodes are %s after %s was removed", names, node3)
	}
}
