package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// shortLife is how long the certificates live of a cluster that has to outlive
// them.
const shortLife = 2 * time.Minute

const doorOfOne = `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: door}
spec: {rules: [{host: one.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: one, port: {number: 8080}}}}]}}]}
`

// The machine moves to other networks, and to none: the cluster goes on under
// the address that there is, with the same pods at the same addresses, and its
// certificates speak of it. They are renewed meanwhile.
func TestMachineMoves(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, func(c *harness.Cluster) { t.Logf("server:\n%s", c.ServiceLog("server")) })
	if out := c.Up(t.Context(), "--certificate-life", shortLife.String()); out.Err != nil {
		t.Fatalf("up: %s", out)
	}
	up := time.Now()
	if err := c.Import(t.Context(), "docker.io_library_busybox"); err != nil {
		t.Fatal(err)
	}
	s := c.Space(t)
	s.Apply(t, answering("one")+"---\n"+service("one")+doorOfOne)
	before := s.Ready(t, "one")
	door := func() string {
		ing, err := s.API.NetworkingV1().Ingresses(s.Name).Get(t.Context(), "door", metav1.GetOptions{})
		if err != nil || len(ing.Status.LoadBalancer.Ingress) != 1 {
			return fmt.Sprint(err)
		}
		return ing.Status.LoadBalancer.Ingress[0].IP
	}

	for _, to := range []string{"192.0.2.77", "", c.Machine.Address.String()} {
		addr, _ := netip.ParseAddr(to)
		if err := c.Machine.Move(addr); err != nil {
			t.Fatal(err)
		}
		want := to
		if to == "" {
			want = "10.245.0.1" // of the node network
		}
		harness.Await(t, harness.Patience, "the node to have the address "+want, func(ctx context.Context) error {
			n, err := s.API.CoreV1().Nodes().Get(ctx, harness.NodeName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if got := n.Status.Addresses[0].Address; got != want {
				return fmt.Errorf("the node says %s", got)
			}
			return nil
		})
		now := s.Pod(t, "one", "ready on the moved node", func(p *corev1.Pod) bool { return harness.IsReady(p) && p.Status.HostIP == want })
		is(t, now.Status.ContainerStatuses[0].ContainerID, before.Status.ContainerStatuses[0].ContainerID)
		is(t, now.Status.PodIP, before.Status.PodIP)
		svc, err := s.API.CoreV1().Services(s.Name).Get(t.Context(), "one", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		harness.AwaitPage(t, c.Machine.Dial, "http://"+svc.Spec.ClusterIP+":8080/", "", "one")
		s.ExecUntil(t, "one", "one", "wget", "-q", "-O-", "http://one:8080/")
		if to == "" {
			continue
		}
		harness.AwaitPage(t, c.Machine.DialOutside, fmt.Sprintf("http://%s:%d/", to, c.Ports.HTTP), "one.test", "one")
		harness.Await(t, harness.Patience, "the Ingress to show "+to, func(context.Context) error {
			if got := door(); got != to {
				return fmt.Errorf("it shows %s", got)
			}
			return nil
		})
		speaksOf(t, c, to, c.Ports.API)
		speaksOf(t, c, to, 10250)
	}
	outlived(t, s, up.Add(shortLife))
}

// outlived wants everything that a certificate is needed for to work when the
// first ones have ended: the caller's kubectl, the API's and the node agent's
// servers, the edge, which has to hear of a new Service.
func outlived(t *testing.T, s *harness.Space, end time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(end)):
	case <-t.Context().Done():
	}
	s.Apply(t, strings.Replace(service("one"), "name: one", "name: later", 1))
	s.ExecUntil(t, "one", "one", "wget", "-q", "-O-", "http://later."+s.Name+".svc.cluster.local:8080/")
	s.Pod(t, "one", "ready", harness.IsReady)
	shown := s.Cluster.Run(t, harness.Input{Argv: []string{s.Cluster.Knarr, "cert"}})
	hasWords(t, shown, "apiserver", "kubelet-serving", "admin", "edge")
	if status := s.Cluster.Run(t, harness.Input{Argv: []string{s.Cluster.Knarr, "status"}}); strings.Contains(status, "was to be renewed") {
		t.Errorf("status:\n%s", status)
	}
}

// speaksOf waits until the certificate that is served at an address is valid
// for it.
func speaksOf(t *testing.T, c *harness.Cluster, address string, port int) {
	t.Helper()
	harness.Await(t, harness.Patience, fmt.Sprintf("certificate on port %d that speaks of %s", port, address), func(ctx context.Context) error {
		conn, err := c.Machine.DialOutside(ctx, "tcp", fmt.Sprintf("%s:%d", address, port))
		if err != nil {
			return err
		}
		defer conn.Close()
		client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // what it speaks of is looked at here
		if err := client.HandshakeContext(ctx); err != nil {
			return err
		}
		return client.ConnectionState().PeerCertificates[0].VerifyHostname(address)
	})
}
