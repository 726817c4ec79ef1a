package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// Requests and limits stand in the cgroups of container and pod, in the units
// of either version.
func TestLimitsInCgroups(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	const wait = `command: [sh, -c, "trap 'exit 0' TERM; sleep 86400 & wait"]`
	s.Apply(t, harness.Pod("burstable", `
containers:
- name: main
  image: busybox:1.35
  `+wait+`
  resources: {requests: {cpu: 250m, memory: 32Mi}, limits: {cpu: 500m, memory: 64Mi}}
`)+harness.Pod("guaranteed", `
containers:
- name: main
  image: busybox:1.35
  `+wait+`
  resources: {limits: {cpu: 100m, memory: 48Mi}}
`)+harness.Pod("none", `
containers:
- name: main
  image: busybox:1.35
  `+wait+`
`))
	for name, want := range map[string]struct {
		class                        corev1.PodQOSClass
		quota, shares, memory        string // version 1
		podQuota, podShares          string
		cpuMax, weight, memoryMax    string // version 2
		podCPUMax, podWeight, podMax string
	}{
		"burstable": {corev1.PodQOSBurstable, "50000", "256", "67108864", "50000", "256",
			"50000 100000", "10", "67108864", "50000 100000", "10", "67108864"},
		"guaranteed": {corev1.PodQOSGuaranteed, "10000", "102", "50331648", "10000", "102",
			"10000 100000", "4", "50331648", "10000 100000", "4", "50331648"},
		"none": {corev1.PodQOSBestEffort, "-1", "2", "9223372036854771712", "-1", "2",
			"max 100000", "1", "max", "max 100000", "1", "max"},
	} {
		pod := s.Ready(t, name)
		if pod.Status.QOSClass != want.class {
			t.Errorf("%s: it is %s, want %s", name, pod.Status.QOSClass, want.class)
		}
		for _, look := range []struct{ container, controller, v1, v2, want1, want2 string }{
			{"main", "cpu", "cpu.cfs_quota_us", "cpu.max", want.quota, want.cpuMax},
			{"main", "cpu", "cpu.shares", "cpu.weight", want.shares, want.weight},
			{"main", "memory", "memory.limit_in_bytes", "memory.max", want.memory, want.memoryMax},
			{"", "cpu", "cpu.cfs_quota_us", "cpu.max", want.podQuota, want.podCPUMax},
			{"", "cpu", "cpu.shares", "cpu.weight", want.podShares, want.podWeight},
			{"", "memory", "memory.limit_in_bytes", "memory.max", want.memory, want.podMax},
		} {
			got := cluster.CgroupSetting(t, pod, look.container, look.controller, look.v1, look.v2)
			if got != look.want1 && got != look.want2 {
				t.Errorf("%s %q: %s or %s is %s, want %s or %s", name, look.container, look.v1, look.v2, got, look.want1, look.want2)
			}
		}
	}
}

// A container that takes more memory than its limit is killed, and its state
// says why; what the pod has beside it is left alone.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("greedy", `
restartPolicy: Never
containers:
- {name: main, image: "busybox:1.35", command: [tail, /dev/zero], resources: {limits: {memory: 24Mi}}}
- {name: child, image: "busybox:1.35", command: [sh, -c, "tail /dev/zero; echo its code is $?"], resources: {limits: {memory: 24Mi}}}
- {name: modest, image: "busybox:1.35", command: [sh, -c, "sleep 2; echo well"]}
`)+harness.Pod("again", `
containers:
- {name: main, image: "busybox:1.35", command: [tail, /dev/zero], resources: {limits: {memory: 24Mi}}}
`))
	pod := s.Ended(t, "greedy")
	if end := harness.ContainerStatus(pod, "main").State.Terminated; end == nil || end.Reason != "OOMKilled" || end.ExitCode != 137 {
		t.Errorf("the greedy container ended as %+v, want OOMKilled with exit code 137", end)
	}
	if end := harness.ContainerStatus(pod, "modest").State.Terminated; end == nil || end.Reason != "Completed" {
		t.Errorf("the modest container ended as %+v", end)
	}
	// Version 1 kills the child alone, version 2 the whole container.
	child := harness.ContainerStatus(pod, "child").State.Terminated
	if log := s.Logs(t, "greedy", "-c", "child"); child == nil || child.Reason != "OOMKilled" && !strings.Contains(log, "its code is 137") {
		t.Errorf("the container with a greedy child: %+v, %q", child, log)
	}
	s.Pod(t, "again", "killed and to be run again", func(p *corev1.Pod) bool {
		c := harness.ContainerStatus(p, "main")
		return c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff" &&
			c.LastTerminationState.Terminated != nil && c.LastTerminationState.Terminated.Reason == "OOMKilled"
	})
	if table := s.Kubectl.Run(t, "get", "pod", "greedy"); !strings.Contains(table, "OOMKilled") && !strings.Contains(table, "Error") {
		t.Errorf("kubectl get shows\n%s", table)
	}
}

// A namespace's quota and limit range: what a container does not say it gets,
// what is too much is refused in words that say why, also to a Deployment, and
// room that is given back is used.
func TestQuotaAndLimitRange(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	s.Apply(t, `apiVersion: v1
kind: LimitRange
metadata: {name: sizes}
spec:
  limits:
  - type: Container
    default: {cpu: 100m, memory: 64Mi}
    defaultRequest: {cpu: 50m, memory: 32Mi}
    max: {cpu: 200m}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: share}
spec:
  hard: {requests.cpu: 100m, pods: "3"}
`)
	k.Run(t, "create", "deployment", "web", "--image="+busybox, "--replicas=3", "--", "sleep", "1000")
	harness.Await(t, harness.Patience, "two of three pods", func(context.Context) error {
		out := k.Try(t, "get", "deployment", "web", "-o", `jsonpath={.status.availableReplicas} {.status.conditions[?(@.type=="ReplicaFailure")].message}`)
		if !strings.HasPrefix(out.Stdout, "2 ") || !strings.Contains(out.Stdout, "exceeded quota: share, requested: requests.cpu=50m, used: requests.cpu=100m, limited: requests.cpu=100m") {
			return fmt.Errorf("got %s", out)
		}
		return nil
	})
	is(t, k.Run(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].spec.containers[0].resources.limits.cpu} {.items[0].spec.containers[0].resources.requests.memory}"), "100m 32Mi")
	k.Fails(t, []string{"maximum cpu usage per Container is 200m, but limit is 500m"}, "run", "large", "--image="+busybox, "--overrides",
		`{"spec":{"containers":[{"name":"large","image":"`+busybox+`","resources":{"limits":{"cpu":"500m"}}}]}}`)
	k.Run(t, "patch", "resourcequota", "share", "-p", `{"spec":{"hard":{"requests.cpu":"150m"}}}`)
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
}
