package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// A container whose liveness probe fails is told to end and started again, and
// the events say why.
func TestLivenessProbeRestarts(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("by-exec", `
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, 'trap "echo told to end; exit 3" TERM; sleep 86400 & wait']
  startupProbe: {exec: {command: [cat, /alive]}, periodSeconds: 1, failureThreshold: 600, timeoutSeconds: 60}
  livenessProbe: {exec: {command: [cat, /alive]}, periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 60}
  lifecycle: {postStart: {exec: {command: [touch, /alive]}}}
`)+harness.Pod("by-http", `
containers:
- name: main
  image: nginx:1.22
  startupProbe: {httpGet: {path: /alive, port: 80}, periodSeconds: 1, failureThreshold: 600, timeoutSeconds: 60}
  livenessProbe: {httpGet: {path: /alive, port: 80}, periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 60}
  lifecycle: {postStart: {exec: {command: [touch, /usr/share/nginx/html/alive]}}}
`)+harness.Pod("by-tcp", `
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, 'trap "exit 0" TERM; nc -ll -p 7000 -e cat & echo $! > /pid; sleep 86400 & wait']
  startupProbe: {tcpSocket: {port: 7000}, periodSeconds: 1, failureThreshold: 600, timeoutSeconds: 60}
  livenessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 60}
`))
	s.Ready(t, "by-exec")
	s.Exec(t, "by-exec", "rm", "/alive")
	s.Event(t, "by-exec", "Unhealthy", "Liveness probe failed: cat: can't open '/alive': No such file or directory")
	s.Event(t, "by-exec", "Killing", "Container main failed liveness probe, will be restarted")
	pod := restarted(t, s, "by-exec")
	if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 3 || last.Reason != "Error" {
		t.Errorf("the first run ended as %+v: want exit code 3 for Error", last)
	}
	if old := s.Logs(t, "by-exec", "--previous"); old != "told to end\n" {
		t.Errorf("the first run wrote %q", old)
	}
	s.Ready(t, "by-http")
	s.Exec(t, "by-http", "rm", "/usr/share/nginx/html/alive")
	s.Event(t, "by-http", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404")
	restarted(t, s, "by-http")
	s.Ready(t, "by-tcp")
	s.Exec(t, "by-tcp", "sh", "-c", "kill $(cat /pid)")
	s.Event(t, "by-tcp", "Unhealthy", "Liveness probe failed: dial tcp ", ":7000: connect: connection refused")
	restarted(t, s, "by-tcp")
}

// restarted waits for the first restart of a pod's first container.
func restarted(t *testing.T, s *harness.Space, name string) *corev1.Pod {
	t.Helper()
	return s.Pod(t, name, "restarted", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].RestartCount > 0 && p.Status.ContainerStatuses[0].State.Running != nil
	})
}

// A pod takes part in its Service while its readiness probe succeeds and its
// readiness gates are open, and is not restarted when it does not.
func TestReadinessProbeGatesEndpoints(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("web", `
readinessGates: [{conditionType: example.com/let-in}]
containers:
- name: main
  image: nginx:1.22
  ports: [{name: http, containerPort: 80}]
  readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}
`)+`
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`)
	s.Event(t, "web", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404")
	endpointReady(t, s, "web", false)
	s.Exec(t, "web", "touch", "/usr/share/nginx/html/ready")
	s.Pod(t, "web", "with ready containers", func(p *corev1.Pod) bool { return condition(p, corev1.ContainersReady) == corev1.ConditionTrue })
	endpointReady(t, s, "web", false)
	s.Kubectl.Run(t, "patch", "pod", "web", "--subresource=status", "-p", `{"status":{"conditions":[{"type":"example.com/let-in","status":"True"}]}}`)
	s.Ready(t, "web")
	endpointReady(t, s, "web", true)
	service, err := s.API.CoreV1().Services(s.Name).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://%s/", service.Spec.ClusterIP)
	harness.AwaitPage(t, cluster.Machine.Dial, fmt.Sprintf("http://%s:80/", service.Spec.ClusterIP), "", "Welcome to nginx!")
	s.Exec(t, "web", "rm", "/usr/share/nginx/html/ready")
	endpointReady(t, s, "web", false)
	client := harness.Browser(cluster.Machine.Dial, false)
	harness.Await(t, harness.Patience, "refusal by a Service without endpoints", func(ctx context.Context) error {
		if page, err := harness.Fetch(ctx, client, strings.TrimSuffix(url, "/")+":80/", ""); err == nil {
			return fmt.Errorf("it answers %q", page)
		}
		return nil
	})
	pod, err := s.API.CoreV1().Pods(s.Name).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || pod.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("a pod that is not ready was restarted: %v %+v", err, pod.Status.ContainerStatuses)
	}
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// endpointReady waits until the only endpoint of a Service is ready or not.
func endpointReady(t *testing.T, s *harness.Space, service string, want bool) {
	t.Helper()
	harness.Await(t, harness.Patience, fmt.Sprintf("endpoint of %s with ready=%v", service, want), func(ctx context.Context) error {
		slices, err := s.API.DiscoveryV1().EndpointSlices(s.Name).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
		if err != nil {
			return err
		}
		for _, slice := range slices.Items {
			for _, e := range slice.Endpoints {
				if e.Conditions.Ready != nil && *e.Conditions.Ready == want {
					return nil
				}
			}
		}
		return fmt.Errorf("there are %+v", slices.Items)
	})
}

// A startup probe holds the others back until the container has started, and
// ends one that never does.
func TestStartupProbe(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("slow", `
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, 'trap "exit 0" TERM; until [ -e /go ]; do sleep 0.1; done; touch /started; sleep 86400 & wait']
  startupProbe: {exec: {command: [test, -e, /started]}, periodSeconds: 1, failureThreshold: 600, timeoutSeconds: 60}
  livenessProbe: {exec: {command: [test, -e, /started]}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}
  readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1, timeoutSeconds: 60}
`)+harness.Pod("never", `
terminationGracePeriodSeconds: 0
containers:
- name: main
  image: busybox:1.35
  command: [sleep, "86400"]
  startupProbe: {exec: {command: [sh, -c, "echo not yet; exit 1"]}, periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 60}
`))
	s.Pod(t, "slow", "running and not started", func(p *corev1.Pod) bool {
		c := harness.ContainerStatus(p, "main")
		if c.Ready && (c.Started == nil || !*c.Started) {
			t.Error("the container is ready before it has started")
		}
		return c.State.Running != nil && c.Started != nil && !*c.Started
	})
	s.Exec(t, "slow", "touch", "/go")
	pod := s.Ready(t, "slow")
	if c := pod.Status.ContainerStatuses[0]; c.RestartCount != 0 || c.Started == nil || !*c.Started {
		t.Errorf("the container that starts slowly: %+v", c)
	}
	s.Event(t, "never", "Unhealthy", "Startup probe failed: not yet")
	s.Event(t, "never", "Killing", "Container main failed startup probe, will be restarted")
	restarted(t, s, "never")
}
