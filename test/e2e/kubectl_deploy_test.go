package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

const (
	nginx     = "nginx:1.22"
	nginxNext = "nginx:1.22-next"
)

// A Deployment from its creation over updates and their history to its end.
func TestKubectlDeploys(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		hasWords(t, k.Run(t, "create", "deployment", "web", "--image="+nginx, "--replicas=2", "--port=80"), "deployment.apps/web created")
		hasWords(t, k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m"), "successfully rolled out")
		exposes(t, s, k)
		scales(t, k)
		updates(t, k)
		pauses(t, k)
		hasWords(t, k.Run(t, "rollout", "restart", "deployment/web"), "restarted")
		hasWords(t, k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m"), "successfully rolled out")
		hasWords(t, k.Run(t, "delete", "deployment/web", "service/web"), `"web" deleted`)
		k.Run(t, "wait", "--for=delete", "pod", "-l", "app=web", "--timeout=4m")
		k.Fails(t, []string{`deployments.apps "web" not found`}, "get", "deployment", "web")
	})
}

func exposes(t *testing.T, s *harness.Space, k harness.Kubectl) {
	hasWords(t, k.Run(t, "expose", "deployment", "web", "--port=8080", "--target-port=80", "--type=NodePort"), "service/web exposed")
	port := k.Run(t, "get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
	harness.AwaitPage(t, cluster.Machine.DialOutside, fmt.Sprintf("http://%s:%s/", cluster.Machine.Address, port), "", "Welcome to nginx!")
	address := k.Run(t, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	harness.AwaitPage(t, cluster.Machine.Dial, fmt.Sprintf("http://%s:8080/", address), "", "Welcome to nginx!")
	s.ExecUntil(t, "Welcome to nginx!", "deployment/web", "curl", "-sS", fmt.Sprintf("http://web.%s:8080", s.Name))
}

func scales(t *testing.T, k harness.Kubectl) {
	hasWords(t, k.Run(t, "scale", "deployment/web", "--replicas=3"), "deployment.apps/web scaled")
	k.Run(t, "wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=4m")
	k.Fails(t, []string{"Expected replicas to be 7, was 3"}, "scale", "deployment/web", "--current-replicas=7", "--replicas=1")
	k.Run(t, "scale", "deployment/web", "--replicas=1")
	k.Run(t, "wait", "deployment/web", "--for=jsonpath={.status.replicas}=1", "--timeout=4m")
}

func updates(t *testing.T, k harness.Kubectl) {
	hasWords(t, k.Run(t, "set", "image", "deployment/web", "nginx="+nginxNext), "image updated")
	k.Run(t, "annotate", "deployment/web", "kubernetes.io/change-cause=the next version")
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
	serves(t, k, "Welcome to the next nginx!")
	// The rollout may have been over before the Deployment was annotated.
	harness.Await(t, harness.Patience, "revision with its cause", func(context.Context) error {
		history := k.Run(t, "rollout", "history", "deployment/web")
		if !strings.Contains(history, "REVISION") || !strings.Contains(history, "the next version") {
			return fmt.Errorf("the history is\n%s", history)
		}
		return nil
	})
	hasWords(t, k.Run(t, "rollout", "history", "deployment/web", "--revision=2"), nginxNext)
	hasWords(t, k.Run(t, "rollout", "undo", "deployment/web"), "rolled back")
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
	serves(t, k, "Welcome to nginx!")
	k.Run(t, "rollout", "undo", "deployment/web", "--to-revision=2")
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
	serves(t, k, "Welcome to the next nginx!")
}

// serves waits until the Deployment's page is the one that is wanted.
func serves(t *testing.T, k harness.Kubectl, words string) {
	t.Helper()
	address := k.Run(t, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	harness.AwaitPage(t, cluster.Machine.Dial, fmt.Sprintf("http://%s:8080/", address), "", words)
}

func pauses(t *testing.T, k harness.Kubectl) {
	hasWords(t, k.Run(t, "rollout", "pause", "deployment/web"), "paused")
	k.Run(t, "set", "env", "deployment/web", "COLOUR=blue")
	k.Run(t, "wait", "deployment/web", "--for=jsonpath={.status.observedGeneration}="+generation(k, t), "--timeout=4m")
	if env := k.Run(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].env}"); env != "" {
		t.Errorf("a paused Deployment has rolled out %s", env)
	}
	hasWords(t, k.Run(t, "rollout", "resume", "deployment/web"), "resumed")
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
	harness.Await(t, harness.Patience, "pod with the variable", func(context.Context) error {
		env := k.Run(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].env[0].value}")
		if !strings.Contains(env, "blue") {
			return fmt.Errorf("variables are %q", env)
		}
		return nil
	})
}

func generation(k harness.Kubectl, t *testing.T) string {
	return k.Run(t, "get", "deployment/web", "-o", "jsonpath={.metadata.generation}")
}
