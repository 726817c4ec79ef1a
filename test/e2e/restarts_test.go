package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// A container that keeps failing is started again at once, then after ten
// seconds, then after twenty; state and events say so.
func TestCrashLoopBackOff(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("crash", `
containers:
- {name: main, image: "busybox:1.35", command: [sh, -c, "echo about to fail; exit 7"]}
`))
	first := s.Pod(t, "crash", "in its first back-off", backsOff("10s"))
	words := fmt.Sprintf("back-off 10s restarting failed container=main pod=crash_%s(%s)", s.Name, first.UID)
	c := first.Status.ContainerStatuses[0]
	if c.State.Waiting.Message != words {
		t.Errorf("the state says %q, want %q", c.State.Waiting.Message, words)
	}
	last := c.LastTerminationState.Terminated
	if c.RestartCount != 1 || c.Ready || last == nil || last.ExitCode != 7 || last.Reason != "Error" {
		t.Fatalf("in the first back-off: %+v, want one restart and exit code 7 for Error", c)
	}
	if first.Status.Phase != corev1.PodRunning {
		t.Errorf("the phase is %s, want Running while the container is to come back", first.Status.Phase)
	}
	second := s.Pod(t, "crash", "in its second back-off", backsOff("20s")).Status.ContainerStatuses[0]
	if second.RestartCount != 2 || second.LastTerminationState.Terminated == nil {
		t.Fatalf("in the second back-off: %+v, want two restarts", second)
	}
	// The API keeps whole seconds: both ends may be cut.
	if waited := second.LastTerminationState.Terminated.StartedAt.Sub(last.FinishedAt.Time); waited < 9*time.Second {
		t.Errorf("the second restart came %s after the end before it, want 10s at least", waited)
	}
	s.Event(t, "crash", "BackOff", fmt.Sprintf("Back-off restarting failed container main in pod crash_%s(%s)", s.Name, first.UID))
	tableShows(t, s, "crash", "CrashLoopBackOff", "0/1")
	// It may be running once more, and have said nothing yet.
	if log := s.LogsUntil(t, "crash", "about to fail\n"); log != "about to fail\n" {
		t.Errorf("the log of the run that ended: %q", log)
	}
}

// backsOff tells whether a pod's only container waits for so long, or however
// long where delay is empty.
func backsOff(delay string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool {
		w := harness.ContainerStatus(p, "main").State.Waiting
		return w != nil && w.Reason == "CrashLoopBackOff" && (delay == "" || strings.HasPrefix(w.Message, "back-off "+delay+" "))
	}
}

// tableShows waits until kubectl's table shows a pod with the words, as it does
// between two runs of a container.
func tableShows(t *testing.T, s *harness.Space, pod string, words ...string) {
	t.Helper()
	harness.Await(t, harness.Patience, fmt.Sprintf("table of pod %s with %q", pod, words), func(context.Context) error {
		table := s.Kubectl.Run(t, "get", "pod", pod)
		for _, w := range words {
			if !strings.Contains(table, w) {
				return fmt.Errorf("it is\n%s", table)
			}
		}
		return nil
	})
}

// What a container's end means for its pod is up to the restart policy.
func TestRestartPolicy(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	// The count of runs lies in a volume, which outlives the containers.
	const third = "n=$(cat /runs/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /runs/n; test $n -ge 2"
	var manifests strings.Builder
	for name, spec := range map[string]string{
		"never-fails":     "restartPolicy: Never\n" + oneRun("exit 4"),
		"never-succeeds":  "restartPolicy: Never\n" + oneRun("exit 0"),
		"failure-retries": "restartPolicy: OnFailure\n" + oneRun(third),
		"always-retries":  "restartPolicy: Always\n" + oneRun("exit 0"),
		"deadline":        "restartPolicy: Never\nactiveDeadlineSeconds: 2\nterminationGracePeriodSeconds: 0\n" + oneRun("sleep 86400"),
	} {
		manifests.WriteString(harness.Pod(name, spec))
	}
	s.Apply(t, manifests.String())
	for name, want := range map[string]struct {
		phase    corev1.PodPhase
		code     int32
		reason   string
		restarts int32
	}{
		"never-fails":     {corev1.PodFailed, 4, "Error", 0},
		"never-succeeds":  {corev1.PodSucceeded, 0, "Completed", 0},
		"failure-retries": {corev1.PodSucceeded, 0, "Completed", 1},
	} {
		pod := s.Ended(t, name)
		c := pod.Status.ContainerStatuses[0]
		end := c.State.Terminated
		if pod.Status.Phase != want.phase || c.RestartCount != want.restarts || end == nil || end.ExitCode != want.code || end.Reason != want.reason {
			t.Errorf("%s: %s, %+v; want %+v", name, pod.Status.Phase, c, want)
		}
	}
	again := s.Pod(t, "always-retries", "in back-off after success", backsOff("")).Status.ContainerStatuses[0]
	if end := again.LastTerminationState.Terminated; end == nil || end.ExitCode != 0 || end.Reason != "Completed" {
		t.Errorf("always-retries ended before as %+v", end)
	}
	if pod := s.Ended(t, "deadline"); pod.Status.Phase != corev1.PodFailed || pod.Status.Reason != "DeadlineExceeded" {
		t.Errorf("after its deadline: %s %q %q", pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
	}
}

// oneRun is the rest of a pod's spec that runs a script with a volume on /runs.
func oneRun(script string) string {
	return fmt.Sprintf(`containers:
- {name: main, image: %q, command: [sh, -c, %q], volumeMounts: [{name: runs, mountPath: /runs}]}
volumes: [{name: runs, emptyDir: {}}]
`, busybox, script)
}

// A pod that is deleted runs its hook, is told to end, and has its grace
// period; one that does not listen is killed at its end.
func TestGracefulTermination(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("polite", `
terminationGracePeriodSeconds: 300
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, 'trap "echo told; sleep 1; echo done; exit 0" TERM; echo up; while :; do sleep 0.1; done']
  lifecycle: {preStop: {exec: {command: [sh, -c, "echo hook > /proc/1/fd/1; sleep 1; echo hook ends > /proc/1/fd/1"]}}}
`)+harness.Pod("deaf", `
terminationGracePeriodSeconds: 10
containers:
- {name: main, image: "busybox:1.35", command: [sh, -c, 'trap "echo no" TERM; echo up; while :; do sleep 0.1; done']}
`)+harness.Pod("sleepy", `
terminationGracePeriodSeconds: 300
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done']
  lifecycle: {preStop: {sleep: {seconds: 2}}}
`))
	logs := map[string]*harness.Running{}
	for _, name := range []string{"polite", "deaf", "sleepy"} {
		s.Ready(t, name)
		logs[name] = s.Kubectl.Start(t, "logs", "-f", name)
		logs[name].Await(t, "up")
	}
	took := map[string]time.Duration{}
	for _, name := range []string{"polite", "deaf", "sleepy"} {
		start := time.Now()
		s.Kubectl.Run(t, "delete", "pod", name)
		took[name] = time.Since(start)
		if err := logs[name].Wait(t.Context()); err != nil {
			t.Errorf("the log of %s: %v", name, err)
		}
	}
	if got := logs["polite"].Output(); got != "up\nhook\nhook ends\ntold\ndone\n" {
		t.Errorf("the polite pod wrote %q", got)
	}
	if got := logs["deaf"].Output(); got != "up\nno\n" {
		t.Errorf("the pod that does not listen wrote %q", got)
	}
	for name, least := range map[string]time.Duration{"polite": 2 * time.Second, "deaf": 10 * time.Second, "sleepy": 2 * time.Second} {
		if t.Logf("deleting %s took %s", name, took[name]); took[name] < least {
			t.Errorf("deleting %s took %s, want %s at least", name, took[name], least)
		}
	}
	s.Event(t, "polite", "Killing", "Stopping container main")
}

// A pod that is asked to go at once does not wait for its grace period.
func TestDeleteNow(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("deaf", `
terminationGracePeriodSeconds: 300
containers:
- {name: main, image: "busybox:1.35", command: [sh, -c, 'trap "" TERM; while :; do sleep 0.1; done']}
`))
	s.Ready(t, "deaf")
	s.Kubectl.Run(t, "delete", "pod", "deaf", "--wait=false")
	pod := s.Pod(t, "deaf", "ending", func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if *pod.DeletionGracePeriodSeconds != 300 {
		t.Errorf("the grace period is %d s", *pod.DeletionGracePeriodSeconds)
	}
	start := time.Now()
	s.Kubectl.Run(t, "delete", "pod", "deaf", "--grace-period=1")
	if took := time.Since(start); took > 200*time.Second {
		t.Errorf("a grace period that was shortened from 300 s to 1 s took %s", took)
	}
}

// Init containers run one after the other, each to its end, before the others;
// one that fails for good fails the pod.
func TestInitContainers(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("ordered", `
restartPolicy: Never
initContainers:
- {name: one, image: "busybox:1.35", command: [sh, -c, "sleep 1; echo one >> /shared/list"], volumeMounts: [{name: shared, mountPath: /shared}]}
- {name: two, image: "busybox:1.35", command: [sh, -c, "echo two >> /shared/list"], volumeMounts: [{name: shared, mountPath: /shared}]}
containers:
- {name: main, image: "busybox:1.35", command: [cat, /shared/list], volumeMounts: [{name: shared, mountPath: /shared}]}
volumes: [{name: shared, emptyDir: {}}]
`)+harness.Pod("failing", `
restartPolicy: Never
initContainers:
- {name: one, image: "busybox:1.35", command: [sh, -c, "exit 5"]}
- {name: two, image: "busybox:1.35", command: ["true"]}
containers:
- {name: main, image: "busybox:1.35", command: ["true"]}
`)+harness.Pod("retrying", `
initContainers:
- {name: one, image: "busybox:1.35", command: ["false"]}
containers:
- {name: main, image: "busybox:1.35", command: ["true"]}
`))
	if pod := s.Ended(t, "ordered"); pod.Status.Phase != corev1.PodSucceeded {
		t.Errorf("the pod has %s", pod.Status.Phase)
	}
	if log := s.Logs(t, "ordered", "-c", "main"); log != "one\ntwo\n" {
		t.Errorf("the init containers ran as %q", log)
	}
	failed := s.Ended(t, "failing")
	one, two := harness.ContainerStatus(failed, "one"), harness.ContainerStatus(failed, "two")
	if failed.Status.Phase != corev1.PodFailed || one.State.Terminated == nil || one.State.Terminated.ExitCode != 5 || two.State.Waiting == nil {
		t.Errorf("after a failed init container: %s, %+v, %+v", failed.Status.Phase, one.State, two.State)
	}
	if main := harness.ContainerStatus(failed, "main").State.Waiting; main == nil || main.Reason != "PodInitializing" {
		t.Errorf("the main container: %+v, want PodInitializing", main)
	}
	if table := s.Kubectl.Run(t, "get", "pod", "failing"); !strings.Contains(table, "Init:Error") {
		t.Errorf("kubectl get shows\n%s", table)
	}
	s.Pod(t, "retrying", "in back-off of its init container", func(p *corev1.Pod) bool {
		w := harness.ContainerStatus(p, "one").State.Waiting
		return p.Status.Phase == corev1.PodPending && w != nil && w.Reason == "CrashLoopBackOff"
	})
	tableShows(t, s, "retrying", "Init:CrashLoopBackOff")
}

// A sidecar starts before the containers that need it, goes on beside them,
// does not keep the pod from its end, and is told to end after them.
func TestSidecar(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("pair", `
restartPolicy: Never
terminationGracePeriodSeconds: 60
initContainers:
- name: side
  image: busybox:1.35
  restartPolicy: Always
  command: [sh, -c, 'trap "echo side ends >> /shared/list; exit 0" TERM; sleep 1; echo side >> /shared/list; touch /up; while :; do sleep 0.1; done']
  startupProbe: {exec: {command: [test, -e, /up]}, periodSeconds: 1, failureThreshold: 600, timeoutSeconds: 60}
  volumeMounts: [{name: shared, mountPath: /shared}]
- {name: between, image: "busybox:1.35", command: [sh, -c, "echo between >> /shared/list"], volumeMounts: [{name: shared, mountPath: /shared}]}
containers:
- {name: main, image: "busybox:1.35", command: [sh, -c, "echo main >> /shared/list; sleep 1; cat /shared/list"], volumeMounts: [{name: shared, mountPath: /shared}]}
volumes: [{name: shared, emptyDir: {}}]
`)+harness.Pod("fragile", `
initContainers:
- {name: side, image: "busybox:1.35", restartPolicy: Always, command: [sh, -c, "trap 'exit 0' TERM; touch /listens; sleep 86400 & wait"]}
containers:
- {name: main, image: "busybox:1.35", command: [sh, -c, "trap 'exit 0' TERM; sleep 86400 & wait"]}
`))
	pod := s.Ended(t, "pair")
	if log := s.Logs(t, "pair", "-c", "main"); log != "side\nbetween\nmain\n" {
		t.Errorf("the containers ran as %q", log)
	}
	side := harness.ContainerStatus(pod, "side")
	if pod.Status.Phase != corev1.PodSucceeded || side.RestartCount != 0 || side.State.Terminated == nil || side.State.Terminated.ExitCode != 0 {
		t.Errorf("the pod has %s, its sidecar %+v", pod.Status.Phase, side)
	}
	fragile := s.Ready(t, "fragile")
	if table := s.Kubectl.Run(t, "get", "pod", "fragile"); !strings.Contains(table, "2/2") {
		t.Errorf("a sidecar counts among the ready ones:\n%s", table)
	}
	// The first process of a container does not hear what it does not listen for.
	s.Kubectl.Try(t, "exec", "fragile", "-c", "side", "--", "sh", "-c", "until [ -e /listens ]; do sleep 0.1; done; kill 1")
	after := s.Pod(t, "fragile", "with a sidecar that was restarted", func(p *corev1.Pod) bool {
		c := harness.ContainerStatus(p, "side")
		return c.RestartCount == 1 && c.State.Running != nil
	})
	if harness.ContainerStatus(after, "main").ContainerID != harness.ContainerStatus(fragile, "main").ContainerID {
		t.Error("the end of the sidecar has restarted the main container")
	}
}

// A container can say why it ended: in its file, or by the end of its log.
func TestTerminationMessage(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	ending := func(name, script, more string) string {
		return harness.Pod(name, fmt.Sprintf("restartPolicy: Never\ncontainers:\n- {name: main, image: %q, command: [sh, -c, %q]%s}\n", busybox, script, more))
	}
	s.Apply(t, ending("file", "printf 'out of cheese' > /dev/termination-log; exit 1", "")+
		ending("path", "printf 'elsewhere' > /why", ", terminationMessagePath: /why")+
		ending("log", "echo first; echo 'the last words'; exit 1", ", terminationMessagePolicy: FallbackToLogsOnError")+
		ending("long", "head -c 10000 /dev/zero | busybox tr '\\0' x > /dev/termination-log", "")+
		ending("none", "echo only a log; exit 1", ""))
	for name, want := range map[string]string{
		"file": "out of cheese", "path": "elsewhere", "log": "first\nthe last words\n", "none": "", "long": strings.Repeat("x", 4096),
	} {
		end := s.Ended(t, name).Status.ContainerStatuses[0].State.Terminated
		if end == nil || end.Message != want {
			t.Errorf("%s: it ended as %+v; want the message %q", name, end, want)
		}
	}
}

// A failed postStart hook ends its container and is told.
func TestPostStartHookFails(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, harness.Pod("hooked", `
terminationGracePeriodSeconds: 0
containers:
- name: main
  image: busybox:1.35
  command: [sleep, "86400"]
  lifecycle: {postStart: {exec: {command: [sh, -c, "exit 9"]}}}
`))
	s.Event(t, "hooked", "FailedPostStartHook", "PostStartHook failed")
	s.Event(t, "hooked", "Killing", "FailedPostStartHook")
	if _, err := s.API.CoreV1().Pods(s.Name).Get(t.Context(), "hooked", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	restarted := s.Pod(t, "hooked", "restarted or waiting to be", func(p *corev1.Pod) bool {
		c := harness.ContainerStatus(p, "main")
		return c.RestartCount > 0 || c.LastTerminationState.Terminated != nil
	})
	if harness.IsReady(restarted) {
		t.Error("it is ready although its hook failed")
	}
}
