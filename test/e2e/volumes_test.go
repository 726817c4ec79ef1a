package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

const database = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: main
        image: docker.io/library/postgres:15
        env: [{name: POSTGRES_PASSWORD, value: secret}, {name: PGDATA, value: /data/pg}]
        readinessProbe: {exec: {command: [pg_isready, -U, postgres, -h, 127.0.0.1]}, periodSeconds: 1, timeoutSeconds: 60}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

// A database in a StatefulSet keeps its rows when its pod is deleted: the
// claim of its template gets a volume on the node's disk, which goes with the
// claim.
func TestDatabaseKeepsItsRows(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	s.Apply(t, database)
	rows := newRows(t, s)
	rows.add(t)
	k.Run(t, "delete", "pod", "db-0")
	rows.check(t)

	path := k.Run(t, "get", "pv", k.Run(t, "get", "pvc", "data-db-0", "-o", "jsonpath={.spec.volumeName}"), "-o", "jsonpath={.spec.local.path}")
	if _, err := os.Stat(strings.TrimSpace(path)); err != nil {
		t.Error("the volume's folder: ", err)
	}
	k.Run(t, "delete", "statefulset", "db")
	k.Run(t, "delete", "pvc", "data-db-0", "--timeout=4m")
	harness.Await(t, harness.Patience, "the end of the volume's files", func(context.Context) error {
		if _, err := os.Stat(strings.TrimSpace(path)); !os.IsNotExist(err) {
			return fmt.Errorf("%s is there: %v", path, err)
		}
		return nil
	})
}

// rows are what a database was given, and acknowledged.
type rows struct {
	space *harness.Space
	count int
}

func newRows(t *testing.T, s *harness.Space) *rows {
	t.Helper()
	r := &rows{space: s}
	r.ready(t)
	r.sql(t, "create table ships (number int)")
	return r
}

func (r *rows) ready(t *testing.T) {
	t.Helper()
	r.space.Kubectl.Run(t, "rollout", "status", "statefulset/db", "--timeout=4m")
}

func (r *rows) sql(t *testing.T, text string) string {
	t.Helper()
	return r.space.Kubectl.Run(t, "exec", "db-0", "--", "psql", "-U", "postgres", "-At", "-c", text)
}

// add writes one row, which is durable when it returns.
func (r *rows) add(t *testing.T) {
	t.Helper()
	r.count++
	r.sql(t, fmt.Sprintf("insert into ships values (%d)", r.count))
}

// check waits for the database and looks for every row.
func (r *rows) check(t *testing.T) {
	t.Helper()
	r.ready(t)
	var want strings.Builder
	for i := range r.count {
		fmt.Fprintln(&want, i+1)
	}
	harness.Await(t, harness.Patience, "the database's rows", func(context.Context) error {
		out := r.space.Kubectl.Try(t, "exec", "db-0", "--", "psql", "-U", "postgres", "-At", "-c", "select number from ships order by number")
		if out.Err != nil || strings.TrimSpace(out.Stdout) != strings.TrimSpace(want.String()) {
			return fmt.Errorf("want the rows\n%sgot %s", want.String(), out)
		}
		return nil
	})
}

// A database keeps its rows, and its pod its identity, whatever of the cluster
// is killed, when all of it is, as at a power cut, and over down and up.
func TestDatabaseOutlivesTheCluster(t *testing.T) {
	s := cluster.Space(t)
	s.Apply(t, database)
	rows := newRows(t, s)
	before := s.Ready(t, "db-0")
	for _, process := range []string{harness.Server, harness.Runtime, harness.Edge} {
		rows.add(t)
		cluster.Kill(t, process)
		rows.check(t)
	}
	now := s.Ready(t, "db-0")
	if now.UID != before.UID || now.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Error("the database did not go on while the cluster's processes were killed")
	}
	rows.add(t)
	cluster.KillEverything(t)
	if out := cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up after everything was killed: %s", out)
	}
	rows.check(t)
	rows.add(t)
	down(t)
	if out := cluster.Up(t.Context()); out.Err != nil {
		t.Fatalf("up after down: %s", out)
	}
	rows.check(t)
	if now := s.Ready(t, "db-0"); now.UID != before.UID {
		t.Error("the pod is another one")
	}
}

// The size of a claim is a limit where its class says so: what a pod writes ends
// there. The volume's files and its mount go with the claim.
func TestSizeOfAClaimIsALimit(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	t.Cleanup(func() { k.Try(t, "delete", "storageclass", s.Name) })
	s.Apply(t, fmt.Sprintf(`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: %[1]s}, provisioner: knarr.io/local, parameters: {limit: file}, volumeBindingMode: WaitForFirstConsumer}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {storageClassName: %[1]s, accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}}
---
`, s.Name)+harness.Pod("filler", `
restartPolicy: Never
containers:
- name: main
  image: busybox:1.35
  command: [sh, -c, "exec 2>&1; dd if=/dev/zero of=/data/much bs=64k count=1024; stat -c %s /data/much"]
  volumeMounts: [{name: data, mountPath: /data}]
volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`))
	s.Ended(t, "filler")
	log := strings.TrimSpace(s.Logs(t, "filler"))
	hasWords(t, log, "No space left on device")
	var size int
	if _, err := fmt.Sscan(log[strings.LastIndexByte(log, '\n')+1:], &size); err != nil || size < 24<<20 || size > 32<<20 {
		t.Errorf("%d bytes of 64Mi went into a claim of 32Mi (%v): %s", size, err, log)
	}

	path := strings.TrimSpace(k.Run(t, "get", "pv", k.Run(t, "get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}"), "-o", "jsonpath={.spec.local.path}"))
	k.Run(t, "delete", "pod/filler", "pvc/data", "--timeout=4m")
	harness.Await(t, harness.Patience, "the end of the volume's files", func(context.Context) error {
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) || strings.Contains(string(mounts), path) {
			return fmt.Errorf("%s is there: %v", path, err)
		}
		return nil
	})
}
