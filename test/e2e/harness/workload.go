package harness

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Patience bounds what should take a moment, on a machine that is ten times
// slower and busy: where a test passes it costs nothing.
const Patience = 4 * time.Minute

// Space is a namespace of one test, with the hands to work in it.
type Space struct {
	Name    string
	Cluster *Cluster
	API     kubernetes.Interface
	// Kubectl is the one within knarr, set to the namespace.
	Kubectl Kubectl
}

// Space makes a namespace that goes with the test. After a failure it is
// described first.
func (c *Cluster) Space(t testing.TB) *Space {
	t.Helper()
	api, err := c.API()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := api.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	s := &Space{Name: ns.Name, Cluster: c, API: api, Kubectl: c.BuiltIn().In(ns.Name)}
	t.Cleanup(func() { s.end(t) })
	Await(t, Patience, "default service account and the cluster's authority", func(ctx context.Context) error {
		if _, err := api.CoreV1().ServiceAccounts(s.Name).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		_, err := api.CoreV1().ConfigMaps(s.Name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err
	})
	return s
}

func (s *Space) end(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if t.Failed() {
		t.Log(s.Describe(ctx))
	}
	now := int64(0)
	pods := s.API.CoreV1().Pods(s.Name)
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		t.Logf("delete the pods of %s: %v", s.Name, err)
	}
	if err := s.API.CoreV1().Namespaces().Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil {
		t.Logf("delete namespace %s: %v", s.Name, err)
	}
}

// Describe shows the pods and events of the namespace.
func (s *Space) Describe(ctx context.Context) string {
	var b strings.Builder
	pods, err := s.API.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, p := range pods.Items {
		fmt.Fprintf(&b, "pod %s: %s %s\n", p.Name, p.Status.Phase, p.Status.PodIP)
		for _, cs := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			fmt.Fprintf(&b, "  %s ready=%v restarts=%d state=%s last=%s\n", cs.Name, cs.Ready, cs.RestartCount, state(cs.State), state(cs.LastTerminationState))
		}
	}
	events, err := s.API.CoreV1().Events(s.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return b.String() + err.Error()
	}
	for _, e := range events.Items {
		fmt.Fprintf(&b, "event %s %s/%s %s: %s (x%d)\n", e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message, e.Count)
	}
	return b.String()
}

func state(s corev1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return "waiting:" + s.Waiting.Reason + " " + s.Waiting.Message
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return fmt.Sprintf("terminated:%s %d %s", s.Terminated.Reason, s.Terminated.ExitCode, s.Terminated.Message)
	}
	return "-"
}

// Apply applies manifests as text.
func (s *Space) Apply(t testing.TB, manifests string) {
	t.Helper()
	s.Kubectl.With(t, manifests, nil, "apply", "-f", "-")
}

// Pod waits until a pod is as it should be and returns it.
func (s *Space) Pod(t testing.TB, name, what string, done func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	Await(t, Patience, fmt.Sprintf("pod %s %s", name, what), func(ctx context.Context) (err error) {
		if pod, err = s.API.CoreV1().Pods(s.Name).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		if !done(pod) {
			return fmt.Errorf("it is\n%s", s.Describe(ctx))
		}
		return nil
	})
	return pod
}

// Ready waits until a pod is ready.
func (s *Space) Ready(t testing.TB, name string) *corev1.Pod {
	t.Helper()
	return s.Pod(t, name, "ready", IsReady)
}

// Ended waits until a pod's containers have ended for good.
func (s *Space) Ended(t testing.TB, name string) *corev1.Pod {
	t.Helper()
	return s.Pod(t, name, "at its end", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
}

// IsReady tells whether the pod takes traffic.
func IsReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}

// Rollout waits until a Deployment has all its replicas.
func (s *Space) Rollout(t testing.TB, name string) {
	t.Helper()
	s.Kubectl.Run(t, "rollout", "status", "deployment/"+name, "--timeout="+Patience.String())
}

// Event waits for an event about an object whose message has all the words.
func (s *Space) Event(t testing.TB, object, reason string, words ...string) corev1.Event {
	t.Helper()
	var found corev1.Event
	Await(t, Patience, fmt.Sprintf("event %s of %s with %q", reason, object, words), func(ctx context.Context) error {
		all, err := s.API.CoreV1().Events(s.Name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range all.Items {
			if e.InvolvedObject.Name == object && e.Reason == reason && containsAll(e.Message, words) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("there are\n%s", s.Describe(ctx))
	})
	return found
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// Logs returns what a pod's only container has written.
func (s *Space) Logs(t testing.TB, pod string, args ...string) string {
	t.Helper()
	return s.Kubectl.Run(t, append([]string{"logs", pod}, args...)...)
}

// ExecUntil runs a command in a pod until it succeeds and its output has the
// words: the way to what it asks, a name, a rule, may be being laid.
func (s *Space) ExecUntil(t testing.TB, words, pod string, argv ...string) {
	t.Helper()
	Await(t, Patience, fmt.Sprintf("answer %q to %q in pod %s", words, argv, pod), func(context.Context) error {
		out := s.Kubectl.Try(t, append([]string{"exec", pod, "--"}, argv...)...)
		if out.Err != nil || !strings.Contains(out.Stdout, words) {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
}

// LogsUntil waits until a pod's only container has written the words, and
// returns all that it has written.
func (s *Space) LogsUntil(t testing.TB, pod string, words ...string) (log string) {
	t.Helper()
	Await(t, Patience, fmt.Sprintf("%q in the log of %s", words, pod), func(context.Context) error {
		out := s.Kubectl.Try(t, "logs", pod)
		if log = out.Stdout; out.Err != nil || !containsAll("\n"+log, words) {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
	return log
}

// Exec runs a command in a pod, which must succeed.
func (s *Space) Exec(t testing.TB, pod string, argv ...string) string {
	t.Helper()
	return s.Kubectl.Run(t, append([]string{"exec", pod, "--"}, argv...)...)
}
