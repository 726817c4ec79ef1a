package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// answering is a pod that answers every connection to its port with its name,
// and is ready from then on.
func answering(name string) string {
	return strings.Replace(shellPod(name, "mkdir /www; echo $HOSTNAME > /www/index.html; httpd() { busybox httpd -f -p 8080 -h /www; }; trap 'exit 0' TERM; httpd & wait",
		"readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, timeoutSeconds: 60}"),
		"restartPolicy: Never", "restartPolicy: Always", 1)
}

// Pods reach each other at their own addresses, the node, and what is outside,
// where they are seen as the node.
func TestPodsReachEachOtherAndTheOutside(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, answering("one")+"---\n"+answering("two"))
	one, two := s.Ready(t, "one"), s.Ready(t, "two")
	is(t, s.Exec(t, "one", "wget", "-q", "-O-", "http://"+two.Status.PodIP+":8080/"), "two")
	is(t, s.Exec(t, "two", "wget", "-q", "-O-", "http://"+one.Status.PodIP+":8080/"), "one")
	hasWords(t, s.Exec(t, "one", "ip", "address"), one.Status.PodIP+"/32", "127.0.0.1/8")
	harness.AwaitPage(t, cluster.Machine.Dial, "http://"+one.Status.PodIP+":8080/", "", "one")

	l, err := cluster.Machine.ListenOutside("tcp4", cluster.Machine.OutsideAddress.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "you are %s", host)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { _ = server.Close(); <-served }()
	is(t, s.Exec(t, "one", "wget", "-q", "-O-", "http://"+l.Addr().String()), "you are "+cluster.Machine.Address.String())
}

// Names of Services, of pods behind headless ones, and of the world outside.
func TestNames(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, answering("one")+`---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {selector: {app: one}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: one}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: world.example}
`)
	pod := s.Ready(t, "one")
	serveName(t, "world.example.", "203.0.113.7")
	plain := s.Kubectl.Run(t, "get", "service", "plain", "-o", "jsonpath={.spec.clusterIP}")
	for name, want := range map[string]string{
		"plain": plain, "plain." + s.Name: plain, "plain." + s.Name + ".svc.cluster.local": plain, "kubernetes.default": "10.96.0.1",
		"headless": pod.Status.PodIP, "world.example": "203.0.113.7", "alias": "203.0.113.7",
	} {
		s.ExecUntil(t, " ("+want+")", "one", "sh", "-c", "ping -c 1 -W 1 "+name+" 2>&1; true")
	}
	s.ExecUntil(t, "NXDOMAIN", "one", "sh", "-c", "nslookup nobody."+s.Name+".svc.cluster.local 2>&1; true")
}

// serveName answers for one name where the machine's resolver is looked for.
func serveName(t *testing.T, name, address string) {
	t.Helper()
	resolver, err := firstResolver()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := cluster.Machine.ListenPacketOutside("udp4", netip.AddrPortFrom(resolver, 53))
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		switch {
		case q.Question[0].Name != name:
			a.Rcode = dns.RcodeNameError
		case q.Question[0].Qtype == dns.TypeA:
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 30}, A: net.ParseIP(address)}}
		}
		_ = w.WriteMsg(a)
	})}
	served := make(chan error, 1)
	go func() { served <- server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown(); <-served })
}

// firstResolver is the first resolver of the machine that is no loopback one,
// as it is for the cluster's DNS.
func firstResolver() (netip.Addr, error) {
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 2 || fields[0] != "nameserver" {
				continue
			}
			if addr, err := netip.ParseAddr(fields[1]); err == nil && addr.Is4() && !addr.IsLoopback() {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("/etc/resolv.conf names no IPv4 resolver besides loopback: forwarding of names cannot be tested")
}

// A pod reaches the API by its name and with the token that it is given, and
// may do what its account may.
func TestPodTalksToTheAPI(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	k.Run(t, "create", "serviceaccount", "reader")
	k.Run(t, "create", "role", "reads", "--verb=list", "--resource=pods")
	k.Run(t, "create", "rolebinding", "reads", "--role=reads", "--serviceaccount="+s.Name+":reader")
	k.Run(t, "run", "client", "--image="+nginx, `--overrides={"spec":{"serviceAccountName":"reader"}}`)
	s.Ready(t, "client")
	get := func(path string) string {
		return s.Exec(t, "client", "sh", "-c", `d=/var/run/secrets/kubernetes.io/serviceaccount; curl -sS --cacert $d/ca.crt -H "Authorization: Bearer $(cat $d/token)" https://kubernetes.default.svc`+path)
	}
	hasWords(t, get("/api/v1/namespaces/"+s.Name+"/pods"), `"kind": "PodList"`, `"name": "client"`)
	hasWords(t, get("/api/v1/namespaces/"+s.Name+"/secrets"), `"code": 403`, "system:serviceaccount:"+s.Name+":reader", `cannot list resource`)
	is(t, s.Exec(t, "client", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/namespace"), s.Name)
}

// A Service of type LoadBalancer is reached from outside at the node's
// address; a second one that wants its port waits for it.
func TestLoadBalancersOnTheNodesAddress(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, answering("one")+"---\n"+answering("two"))
	balanced := func(pod string) string {
		return `
apiVersion: v1
kind: Service
metadata: {name: ` + pod + `}
spec: {type: LoadBalancer, selector: {app: ` + pod + `}, ports: [{port: 7080, targetPort: 8080}]}
`
	}
	s.Apply(t, balanced("one"))
	s.Ready(t, "one")
	s.Ready(t, "two")
	address := cluster.Machine.Address.String()
	s.Kubectl.Run(t, "wait", "service/one", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}="+address, "--timeout=4m")
	harness.AwaitPage(t, cluster.Machine.Dial, "http://"+address+":7080/", "", "one")
	s.Apply(t, balanced("two"))
	s.Kubectl.Run(t, "wait", "service/two", "--for=condition=LoadBalancerPortsError", "--timeout=4m")
	hasWords(t, s.Kubectl.Run(t, "describe", "service", "two"), "is in use by Service "+s.Name+"/one")
	s.Kubectl.Run(t, "delete", "service", "one")
	harness.AwaitPage(t, cluster.Machine.Dial, "http://"+address+":7080/", "", "two")
}
