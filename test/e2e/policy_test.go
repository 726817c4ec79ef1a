package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// denyAll is a policy that lets nothing in or out of the namespace's pods.
const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`

// allowed lets pods labelled role=friend reach the server's named port, and
// everybody ask the cluster DNS.
const allowed = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: in}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}], ports: [{port: http}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out}
spec:
  podSelector: {matchLabels: {role: friend}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: server}}}]
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
    ports: [{port: dns, protocol: UDP}, {port: dns-tcp}]
`

const servedByIngress = `apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: server}
spec:
  rules:
  - host: policy.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: server, port: {number: 80}}}}]}
`

const allowIngress = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: front}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {app.kubernetes.io/name: knarr-ingress}}}]
`

// get asks for a page that says server, and fails where nobody answers soon.
func get(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 " + host + " " + port + " | grep -q server"
}

// early tries to reach something from its first instruction on, and says once
// that it did, or that it could not for a while.
func early(name, role, address string) string {
	script := "for i in 1 2 3 4 5 6 7 8 9 10; do " + get(address) + " && echo reached; done; echo tried; sleep 1000000"
	return strings.Replace(shellPod(name, script), "app: "+name, "app: "+name+", role: "+role, 1)
}

// Policies that stand before a pod hold from its first packet on; probes of
// the node pass; names, Ingress and named ports are matched as their peers.
func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, denyAll)
	s.Apply(t, strings.Replace(answering("server"), "image: busybox", "ports: [{name: http, containerPort: 8080}]\n    image: busybox", 1))
	server := s.Ready(t, "server") // its node's probes come through
	address := server.Status.PodIP + ":8080"
	s.Apply(t, early("friend", "friend", address)+"---\n"+early("stranger", "stranger", address)+"---\n"+servedByIngress)
	s.Ready(t, "friend")
	s.Ready(t, "stranger")
	try := func(pod, address string) harness.Outcome {
		return s.Kubectl.Try(t, "exec", pod, "--", "sh", "-c", get(address))
	}
	if out := try("friend", address); out.Err == nil {
		t.Errorf("nothing is allowed, and yet: %s", out)
	}
	hasWords(t, explain(t, s, "friend", address), "denied", "egress of "+s.Name+"/friend", "deny")

	s.Apply(t, allowed)
	reaches := func(pod, address string) {
		t.Helper()
		harness.Await(t, harness.Patience, pod+" reaches "+address, func(context.Context) error {
			if out := try(pod, address); out.Err != nil {
				return errors.New(out.String())
			}
			return nil
		})
	}
	reaches("friend", "server:80")
	if out := try("stranger", address); out.Err == nil {
		t.Errorf("a stranger is not allowed, and yet: %s", out)
	}
	hasWords(t, explain(t, s, "friend", "server:80"), "allowed", "out, rule 0", "in, rule 0", address)
	hasWords(t, explain(t, s, "stranger", "server:80"), "denied")
	if log := s.Logs(t, "stranger"); strings.Contains(log, "reached") {
		t.Errorf("a pod reached another before it was judged:\n%s", log)
	}

	front := "http://" + cluster.Machine.Address.String() + "/"
	harness.Await(t, harness.Patience, "Ingress finds nobody that it may reach", func(ctx context.Context) error {
		_, err := harness.Fetch(ctx, harness.Browser(cluster.Machine.Dial, false), front, "policy.example")
		if err == nil || !strings.Contains(err.Error(), " 503 ") {
			return fmt.Errorf("it answers %w", err)
		}
		return nil
	})
	s.Apply(t, allowIngress)
	harness.AwaitPage(t, cluster.Machine.Dial, front, "policy.example", "server")
	s.Kubectl.Run(t, "delete", "networkpolicy", "--all")
	reaches("stranger", address)
}

// explain asks who allows a pod's connection.
func explain(t *testing.T, s *harness.Space, pod, destination string) string {
	t.Helper()
	return cluster.Run(t, harness.Input{Argv: []string{cluster.Knarr, "explain", "connection", "-n", s.Name, pod, destination}})
}

const onlyOneReachesTwo = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: two}
spec: {podSelector: {matchLabels: {app: two}}, ingress: [{from: [{podSelector: {matchLabels: {app: one}}}]}]}
`

const oneReachesNobody = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one}
spec: {podSelector: {matchLabels: {app: one}}, policyTypes: [Egress]}
`

// What crosses nodes is judged on both: by the receiver's, that knows the
// sender by its address, and by the sender's.
func (c several) policiesAcross(t *testing.T) {
	two := c.Ready(t, "two").Status.PodIP
	page := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := harness.Fetch(ctx, harness.Browser(c.Cluster.Machine.Dial, false), "http://"+two+":8080/", "")
		return err
	}
	ask := func() error {
		if out := c.Kubectl.Try(t, "exec", "one", "--", "sh", "-c", strings.ReplaceAll(get(two+":8080"), "server", "two")); out.Err != nil {
			return errors.New(out.String())
		}
		return nil
	}
	c.Apply(t, onlyOneReachesTwo)
	harness.Await(t, harness.Patience, "another node is kept away from the pod", func(ctx context.Context) error {
		if page(ctx) == nil {
			return errors.New("it still reaches it")
		}
		return nil
	})
	harness.Await(t, harness.Patience, "a pod that is allowed reaches one of another node", func(context.Context) error { return ask() })
	c.Apply(t, oneReachesNobody)
	harness.Await(t, harness.Patience, "the sender's node denies", func(context.Context) error {
		if ask() == nil {
			return errors.New("it still reaches it")
		}
		return nil
	})
	c.Kubectl.Run(t, "delete", "networkpolicy", "--all")
	harness.Await(t, harness.Patience, "without policies all is open", page)
}
