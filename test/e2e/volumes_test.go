package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// A database in a StatefulSet keeps its rows when its pod is deleted: the
// claim of its template gets a volume on the node's disk, which goes with the
// claim.
func TestDatabaseKeepsItsRows(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	s.Apply(t, `apiVersion: apps/v1
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
        readinessProbe: {exec: {command: [pg_isready, -U, postgres, -h, 127.0.0.1]}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`)
	ready := func() { k.Run(t, "rollout", "status", "statefulset/db", "--timeout=3m") }
	sql := func(text string) string {
		return k.Run(t, "exec", "db-0", "--", "psql", "-U", "postgres", "-At", "-c", text)
	}
	ready()
	sql("create table ships (name text); insert into ships values ('knarr')")
	k.Run(t, "delete", "pod", "db-0")
	ready()
	hasWords(t, sql("select name from ships"), "knarr")

	path := k.Run(t, "get", "pv", k.Run(t, "get", "pvc", "data-db-0", "-o", "jsonpath={.spec.volumeName}"), "-o", "jsonpath={.spec.local.path}")
	if _, err := os.Stat(strings.TrimSpace(path)); err != nil {
		t.Error("the volume's folder: ", err)
	}
	k.Run(t, "delete", "statefulset", "db")
	k.Run(t, "delete", "pvc", "data-db-0", "--timeout=1m")
	harness.Await(t, time.Minute, "the end of the volume's files", func(context.Context) error {
		if _, err := os.Stat(strings.TrimSpace(path)); !os.IsNotExist(err) {
			return fmt.Errorf("%s is there: %v", path, err)
		}
		return nil
	})
}
