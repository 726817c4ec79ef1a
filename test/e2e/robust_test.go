package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// clusterDNS is the address of the cluster's DNS.
var clusterDNS = netip.MustParseAddrPort("10.96.0.10:53")

// frontHost is the Ingress host of a namespace's front: another one's may be on
// its way out still, and the older Ingress of a host counts.
func frontHost(s *harness.Space) string { return s.Name + ".example" }

// applyFront brings nginx up behind a Service and an Ingress.
func applyFront(t *testing.T, s *harness.Space) {
	t.Helper()
	s.Apply(t, strings.Replace(front, "HOST", frontHost(s), 1))
	s.Rollout(t, "front")
}

const front = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: front
spec:
  replicas: 3
  selector:
    matchLabels: {app: front}
  template:
    metadata:
      labels: {app: front}
    spec:
      containers:
      - name: nginx
        image: nginx:1.22
        ports: [{name: http, containerPort: 80}]
        readinessProbe:
          httpGet: {path: /, port: http}
          periodSeconds: 1
          timeoutSeconds: 60
---
apiVersion: v1
kind: Service
metadata:
  name: front
spec:
  type: NodePort
  selector: {app: front}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: front
spec:
  rules:
  - host: HOST
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: front, port: {name: http}}}
`

// traffic is load on the front in every way that people reach it.
func traffic(t *testing.T, s *harness.Space) []*harness.Load {
	t.Helper()
	applyFront(t, s)
	service, err := s.API.CoreV1().Services(s.Name).Get(t.Context(), "front", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := cluster.Machine.Dial, cluster.Machine.DialOutside
	url, ingress := "http://"+service.Spec.ClusterIP+"/", nodeURL(cluster.Ports.HTTP)
	harness.AwaitPage(t, inside, url, "", "nginx")
	harness.AwaitPage(t, outside, ingress, frontHost(s), "nginx")
	return []*harness.Load{
		harness.NewLoad(t, inside, url, "", harness.NewConnections),
		harness.NewLoad(t, inside, url, "", harness.KeepAlive),
		harness.NewLoad(t, outside, nodeURL(int(service.Spec.Ports[0].NodePort)), "", harness.NewConnections),
		harness.NewLoad(t, outside, ingress, frontHost(s), harness.KeepAlive),
		harness.NewQuestions(t, inside, clusterDNS, "front."+s.Name+".svc.cluster.local"),
	}
}

// unharmed fails the test where a request has failed.
func unharmed(t *testing.T, loads []*harness.Load) {
	t.Helper()
	for _, l := range loads {
		l.None(t)
	}
}

// containers are the pods' containers with their restarts.
func containers(t *testing.T, s *harness.Space) map[string]string {
	t.Helper()
	pods, err := s.API.CoreV1().Pods(s.Name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			all[string(p.UID)+"/"+c.Name] = fmt.Sprintf("%s, restarted %d times", c.ContainerID, c.RestartCount)
		}
	}
	return all
}

// The server is killed at irregular moments while traffic flows and objects are
// written: traffic does not notice, containers go on, and what was
// acknowledged is there.
func TestServerIsKilledUnderTraffic(t *testing.T) {
	s := cluster.Space(t)
	loads := traffic(t, s)
	before := containers(t, s)
	w := startWriter(t, s)
	moments := rand.New(rand.NewPCG(1, 0))
	for range 5 {
		w.awaitMore(t, 1+moments.IntN(40))
		killed := cluster.Kill(t, harness.Server)
		start := time.Now()
		cluster.Answers(t)
		t.Logf("server %d was killed; the API answers again after %s", killed, time.Since(start).Round(time.Millisecond))
	}
	w.awaitMore(t, 20)
	w.stop()
	w.check(t, s)
	unharmed(t, loads)
	s.Rollout(t, "front")
	if after := containers(t, s); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the containers were\n%v\nand are\n%v", before, after)
	}
	s.Kubectl.Run(t, "scale", "deployment/front", "--replicas=4")
	s.Rollout(t, "front")
	if t.Failed() {
		t.Log(cluster.ServiceLog("server"))
	}
}

// writer makes ConfigMaps one after the other and keeps count.
type writer struct {
	stop  context.CancelFunc
	acked chan string // names, as they are acknowledged
	names []string
}

func startWriter(t *testing.T, s *harness.Space) *writer {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	w := &writer{acked: make(chan string, 100_000), stop: func() { cancel(); <-done }}
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("acked-%d", n)}, Data: map[string]string{"n": fmt.Sprint(n)}}
			if _, err := s.API.CoreV1().ConfigMaps(s.Name).Create(ctx, cm, metav1.CreateOptions{}); err == nil {
				w.acked <- cm.Name
			} else if !errors.Is(err, context.Canceled) {
				pauseAfterFailure(ctx)
			}
		}
	}()
	t.Cleanup(w.stop)
	return w
}

// pauseAfterFailure keeps a writer from spinning while the server is away.
func pauseAfterFailure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
}

func (w *writer) awaitMore(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case name := <-w.acked:
			w.names = append(w.names, name)
		case <-time.After(harness.Patience):
			t.Fatal("no write is acknowledged")
		}
	}
}

// check reads every object whose creation was acknowledged.
func (w *writer) check(t *testing.T, s *harness.Space) {
	t.Helper()
	close(w.acked)
	for name := range w.acked {
		w.names = append(w.names, name)
	}
	list, err := s.API.CoreV1().ConfigMaps(s.Name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, cm := range list.Items {
		there[cm.Name] = cm.Name == "acked-"+cm.Data["n"]
	}
	for _, name := range w.names {
		if !there[name] {
			t.Errorf("ConfigMap %s was acknowledged and is not there", name)
		}
	}
	t.Logf("%d writes were acknowledged", len(w.names))
}

// The edge is killed: names and Ingress are answered again at once, over the
// sockets that were open all the time.
func TestEdgeIsKilled(t *testing.T) {
	s := cluster.Space(t)
	applyFront(t, s)
	url := nodeURL(cluster.Ports.HTTP)
	harness.AwaitPage(t, cluster.Machine.DialOutside, url, frontHost(s), "nginx")
	killed := cluster.Kill(t, harness.Edge)
	// No refusal: the connection waits for the next edge.
	client := harness.Browser(cluster.Machine.DialOutside, false)
	client.Timeout = harness.Patience
	if _, err := harness.Fetch(t.Context(), client, url, frontHost(s)); err != nil {
		t.Errorf("Ingress, asked while the edge is away: %v", err)
	}
	if err := harness.Resolve(t.Context(), cluster.Machine.Dial, clusterDNS, "front."+s.Name+".svc.cluster.local"); err != nil {
		t.Errorf("DNS, asked after the edge was killed: %v", err)
	}
	if now := cluster.PID(t, harness.Edge); now == killed || now == 0 {
		t.Errorf("the edge is process %d, was %d", now, killed)
	}
}

// Everything is killed, as at a power cut: up brings the same cluster back and
// starts its pods again.
func TestEverythingIsKilled(t *testing.T) {
	s := cluster.Space(t)
	applyFront(t, s)
	s.Apply(t, sleeper("box"))
	before := s.Ready(t, "box")
	cluster.KillEverything(t)
	if out := cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up after everything was killed: %s\n%s", out, cluster.ServiceLog("server"))
	}
	after := s.Pod(t, "box", "restarted", func(p *corev1.Pod) bool {
		return harness.IsReady(p) && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount == 1
	})
	if after.UID != before.UID {
		t.Error("the pod is another one")
	}
	s.Rollout(t, "front")
	address := s.Kubectl.Run(t, "get", "service", "front", "-o", "jsonpath={.spec.clusterIP}")
	harness.AwaitPage(t, cluster.Machine.Dial, "http://"+address+"/", "", "nginx")
	harness.AwaitPage(t, cluster.Machine.DialOutside, nodeURL(cluster.Ports.HTTP), frontHost(s), "nginx")
	s.ExecUntil(t, "nginx", "box", "wget", "-q", "-O-", "http://front")
}
