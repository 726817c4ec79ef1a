package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// The only node is cordoned, tainted and drained: not beside other tests.
func TestKubectlTakesTheNodeOutOfService(t *testing.T) {
	eachKubectl(t, func(t *testing.T, s *harness.Space, k harness.Kubectl) {
		t.Cleanup(func() {
			k.Try(t, "uncordon", harness.NodeName)
			k.Try(t, "taint", "nodes", harness.NodeName, "berth-")
		})
		k.Run(t, "create", "deployment", "box", "--image="+nginx)
		k.Run(t, "rollout", "status", "deployment/box", "--timeout=4m")
		hasWords(t, k.Run(t, "cordon", harness.NodeName), "cordoned")
		hasWords(t, k.Run(t, "get", "nodes"), "Ready,SchedulingDisabled")
		s.Apply(t, sleeper("late"))
		s.Event(t, "late", "FailedScheduling", "0/1 nodes are available: 1 node(s) were unschedulable.")
		hasWords(t, k.Run(t, "uncordon", harness.NodeName), "uncordoned")
		s.Ready(t, "late")

		hasWords(t, k.Run(t, "taint", "nodes", harness.NodeName, "berth=full:NoSchedule"), "tainted")
		s.Apply(t, sleeper("later"))
		s.Event(t, "later", "FailedScheduling", "0/1 nodes are available: 1 node(s) had untolerated taint(s)")
		k.Run(t, "taint", "nodes", harness.NodeName, "berth-")
		s.Ready(t, "later")

		out := k.Run(t, "drain", harness.NodeName, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=4m")
		hasWords(t, out, "evicting pod", "drained")
		harness.Await(t, harness.Patience, "pod that finds no node", func(context.Context) error {
			if names := k.Run(t, "get", "pods", "--field-selector=status.phase=Pending", "-o", "name"); !strings.Contains(names, "pod/box-") {
				return fmt.Errorf("those that wait are %q", names)
			}
			return nil
		})
		k.Run(t, "uncordon", harness.NodeName)
		k.Run(t, "rollout", "status", "deployment/box", "--timeout=4m")
	})
}

// What tolerates nothing leaves a node that gets a NoExecute taint.
func TestTaintedNodeIsLeft(t *testing.T) {
	s := cluster.Space(t)
	t.Cleanup(func() { s.Kubectl.Try(t, "taint", "nodes", harness.NodeName, "leak-") })
	s.Apply(t, sleeper("box"))
	s.Ready(t, "box")
	s.Kubectl.Run(t, "taint", "nodes", harness.NodeName, "leak=yes:NoExecute")
	s.Kubectl.Run(t, "wait", "--for=delete", "pod/box", "--timeout=4m")
	s.Kubectl.Run(t, "taint", "nodes", harness.NodeName, "leak-")
	s.Apply(t, sleeper("next"))
	if p := s.Ready(t, "next"); p.Status.Phase != corev1.PodRunning {
		t.Errorf("the next pod is %s", p.Status.Phase)
	}
}
