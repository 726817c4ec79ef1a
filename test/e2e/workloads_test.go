package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// podsOf is the part of a workload's manifest that is the same for all: a
// selector and a template of waiting pods.
func podsOf(name string) string {
	return fmt.Sprintf(`  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - {name: main, image: %[2]s, command: [sh, -c, %[3]q]}
`, name, busybox, wait)
}

// Pods of a StatefulSet have names of their own, by which they find each
// other, and keep them over updates.
func TestStatefulSet(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	s.Apply(t, `apiVersion: v1
kind: Service
metadata: {name: crew}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: crew}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: crew, annotations: {kubernetes.io/change-cause: the first}}
spec:
  serviceName: crew
  replicas: 2
`+podsOf("crew"))
	status := func() {
		t.Helper()
		hasWords(t, k.Run(t, "rollout", "status", "statefulset/crew", "--timeout=4m"), "roll out complete: 2 new pods have been updated")
	}
	status()
	is(t, k.Run(t, "exec", "crew-1", "--", "hostname"), "crew-1")
	address := k.Run(t, "get", "pod", "crew-0", "-o", "jsonpath={.status.podIP}")
	harness.Await(t, harness.Patience, "name of crew-0", func(context.Context) error {
		out := k.Try(t, "exec", "crew-1", "--", "nslookup", fmt.Sprintf("crew-0.crew.%s.svc.cluster.local", s.Name))
		if !strings.Contains(out.Stdout, address) {
			return fmt.Errorf("the answer is %s", out)
		}
		return nil
	})
	k.Run(t, "set", "env", "statefulset/crew", "COLOUR=blue")
	k.Run(t, "annotate", "statefulset/crew", "--overwrite", "kubernetes.io/change-cause=the second")
	status()
	is(t, k.Run(t, "exec", "crew-0", "--", "sh", "-c", "echo $COLOUR"), "blue")
	hasWords(t, k.Run(t, "rollout", "history", "statefulset/crew"), "REVISION", "the first")
	hasWords(t, k.Run(t, "rollout", "undo", "statefulset/crew"), "rolled back")
	status()
	is(t, k.Run(t, "exec", "crew-1", "--", "sh", "-c", "echo $COLOUR"), "")
	k.Run(t, "scale", "statefulset/crew", "--replicas=1")
	k.Run(t, "wait", "--for=delete", "pod/crew-1", "--timeout=4m")
	k.Run(t, "get", "pod", "crew-0")
}

// A DaemonSet runs on the node, is updated there, and taken back.
func TestDaemonSet(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	s.Apply(t, "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: lookout}\nspec:\n"+podsOf("lookout"))
	status := func() {
		t.Helper()
		hasWords(t, k.Run(t, "rollout", "status", "daemonset/lookout", "--timeout=4m"), "successfully rolled out")
	}
	status()
	k.Run(t, "set", "env", "daemonset/lookout", "COLOUR=blue")
	status()
	is(t, k.Run(t, "exec", "daemonset/lookout", "--", "sh", "-c", "echo $COLOUR"), "blue")
	hasWords(t, k.Run(t, "rollout", "history", "daemonset/lookout"), "REVISION")
	hasWords(t, k.Run(t, "rollout", "undo", "daemonset/lookout"), "rolled back")
	status()
	is(t, k.Run(t, "exec", "daemonset/lookout", "--", "sh", "-c", "echo $COLOUR"), "")
	nodes := strings.Fields(k.Run(t, "get", "nodes", "-o", "name"))
	is(t, k.Run(t, "get", "daemonset", "lookout", "-o", "jsonpath={.status.numberAvailable}"), fmt.Sprint(len(nodes)))
}

// An indexed job runs each index once and tells its pods which they are; one
// that fails too often says why.
func TestJobs(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	s.Apply(t, fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: load}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: %[1]s, command: [sh, -c, 'echo crate $JOB_COMPLETION_INDEX on $(hostname)']}
---
apiVersion: batch/v1
kind: Job
metadata: {name: sink}
spec:
  backoffLimit: 3
  podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: %[1]s, command: [sh, -c, exit 42]}
`, busybox))
	k.Run(t, "wait", "job/load", "--for=condition=complete", "--timeout=4m")
	logs := k.Run(t, "logs", "-l", "job-name=load", "--tail=-1")
	for i := range 3 {
		hasWords(t, logs, fmt.Sprintf("crate %d on load-%d", i, i))
	}
	is(t, k.Run(t, "get", "job", "load", "-o", "jsonpath={.status.succeeded} {.status.completedIndexes}"), "3 0-2")
	k.Run(t, "wait", "job/sink", "--for=condition=failed", "--timeout=4m")
	hasWords(t, k.Run(t, "get", "job", "sink", "-o", "jsonpath={.status.conditions}"), "PodFailurePolicy", "failed with exit code 42 matching FailJob rule at index 0")
	k.Run(t, "patch", "job", "load", "-p", `{"spec":{"ttlSecondsAfterFinished":0}}`)
	k.Run(t, "wait", "--for=delete", "job/load", "--timeout=4m")
	if left := k.Run(t, "get", "pods", "-l", "job-name=load", "-o", "name"); left != "" {
		t.Errorf("the job's pods have outlived it: %s", left)
	}
}

// A CronJob starts a job at the next full minute; one can be had before.
func TestCronJob(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	k.Run(t, "create", "cronjob", "bell", "--image="+busybox, "--schedule=* * * * *", "--", "echo", "glasses")
	k.Run(t, "create", "job", "now", "--from=cronjob/bell")
	k.Run(t, "wait", "job/now", "--for=condition=complete", "--timeout=4m")
	is(t, k.Run(t, "logs", "job/now"), "glasses")
	harness.Await(t, harness.Patience, "job that the clock started", func(context.Context) error {
		if out := k.Run(t, "get", "jobs", "-o", `jsonpath={.items[?(@.metadata.name!="now")].status.succeeded}`); !strings.HasPrefix(out, "1") {
			return fmt.Errorf("succeeded are %q", out)
		}
		return nil
	})
}

// A ReplicationController is still one way to have pods.
func TestReplicationController(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	manifest := "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: rowers}\nspec:\n  replicas: 2\n" + podsOf("rowers")
	s.Apply(t, strings.Replace(manifest, "{matchLabels: {app: rowers}}", "{app: rowers}", 1))
	k.Run(t, "wait", "rc/rowers", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=4m")
	k.Run(t, "scale", "rc/rowers", "--replicas=0")
	k.Run(t, "wait", "--for=delete", "pod", "-l", "app=rowers", "--timeout=4m")
}
