package e2e

import (
	"regexp"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// kubectl debug joins a running pod by an ephemeral container that sees the
// processes of its target, and looks at a node by a pod that has its files.
func TestKubectlDebug(t *testing.T) {
	t.Parallel()
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		s.Apply(t, sleeper("box"))
		s.Ready(t, "box")
		k.Run(t, "debug", "box", "--image=busybox:1.35", "--container=look", "--target="+onlyContainer(t, k, "box"), "--profile=general", "--", "sh", "-c", "ps -o args; echo looked")
		k.Run(t, "wait", "pod/box", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}=Completed", "--timeout=4m")
		hasWords(t, k.Run(t, "logs", "box", "-c", "look"), "sleep", "looked")

		out := k.Run(t, "debug", "node/"+harness.NodeName, "--image=busybox:1.35", "--profile=sysadmin", "--", "sh", "-c", "ls /host/proc/1/comm && cat /proc/1/comm")
		pod := regexp.MustCompile(`node-debugger-\S+`).FindString(out)
		if pod == "" {
			t.Fatalf("kubectl debug node says %s", out)
		}
		k.Run(t, "wait", "pod/"+pod, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=4m")
		hasWords(t, k.Run(t, "logs", pod), "/host/proc/1/comm")
	})
}

func onlyContainer(t *testing.T, k harness.Kubectl, pod string) string {
	t.Helper()
	return k.Run(t, "get", "pod", pod, "-o", "jsonpath={.spec.containers[0].name}")
}
