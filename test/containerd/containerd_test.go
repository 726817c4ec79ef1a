//go:build containerd

package containerd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

var (
	knarr    = flag.String("knarr", "", "path of the program under test")
	images   = flag.String("images", "", "folder of image archives")
	pauses   = flag.String("pause", "", "folder with the archive of the pause image")
	programs = flag.String("containerd", "", "folder with bin/ and cni/")
)

const manifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "nginx:1.22", readinessProbe: {httpGet: {port: 80}}, resources: {limits: {memory: 64Mi, cpu: 500m}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "busybox:1.35", command: [sh, -c, "echo it runs; exec sleep 100000"], livenessProbe: {exec: {command: ["true"]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: ends}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: "busybox:1.35", command: [sh, -c, "echo it ends >/dev/termination-log; exit 3"]}
`

func TestNodeWithContainerd(t *testing.T) {
	c, err := harness.New(*knarr, *images)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cluster: c, programs: *programs, dir: filepath.Join(c.Dir, "containerd")}
	t.Cleanup(func() {
		d.stop(t)
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	archives, err := filepath.Glob(filepath.Join(*pauses, "*.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker.io_library_nginx_1.22.tar", "docker.io_library_busybox_1.35.tar"} {
		archives = append(archives, filepath.Join(*images, name))
	}
	d.start(t, archives...)
	if out := c.Up(t.Context(), "--runtime-endpoint", "unix://"+d.socket()); out.Err != nil {
		t.Fatal(out)
	}
	k := c.BuiltIn()
	k.With(t, manifest, nil, "apply", "-f", "-")
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
	k.Run(t, "wait", "pod/client", "--for=condition=Ready", "--timeout=4m")
	t.Run("what it is", func(t *testing.T) {
		got := k.Run(t, "get", "node", harness.NodeName, "-o", "jsonpath={.status.nodeInfo.containerRuntimeVersion}")
		if !strings.HasPrefix(got, "containerd://") {
			t.Errorf("the node's runtime is %q", got)
		}
	})
	t.Run("logs", func(t *testing.T) {
		if got := k.Run(t, "logs", "client"); got != "it runs\n" {
			t.Errorf("logs: %q", got)
		}
	})
	t.Run("exec", func(t *testing.T) {
		if got := k.With(t, "hello\n", nil, "exec", "-i", "client", "--", "cat"); got != "hello\n" {
			t.Errorf("exec: %q", got)
		}
		if out := k.Try(t, "exec", "client", "--", "sh", "-c", "exit 7"); out.Code != 7 {
			t.Errorf("exit code: %s", out)
		}
	})
	t.Run("service", func(t *testing.T) {
		harness.Await(t, harness.Patience, "the Service answers by its name", func(ctx context.Context) error {
			if out := k.Try(t, "exec", "client", "--", "wget", "-qO-", "http://web.default.svc.cluster.local"); !strings.Contains(out.Stdout, "Welcome to nginx!") {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	})
	t.Run("port-forward", func(t *testing.T) { forwards(t, c, k) })
	t.Run("exit code and message", func(t *testing.T) {
		k.Run(t, "wait", "pod/ends", "--for=jsonpath={.status.phase}=Failed", "--timeout=4m")
		got := k.Run(t, "get", "pod", "ends", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.message}")
		if got != "3 it ends\n" {
			t.Errorf("terminated: %q", got)
		}
	})
	t.Run("images by hand", func(t *testing.T) {
		out := c.Try(t.Context(), harness.Input{Argv: []string{*knarr, "image", "ls"}})
		if out.Err == nil || !strings.Contains(out.Stderr, "crictl") {
			t.Errorf("images of another runtime: %s", out)
		}
	})
	k.Run(t, "delete", "pod", "client", "ends", "--timeout=4m")
	if out := c.Down(t.Context(), "--purge"); out.Err != nil {
		t.Error(out)
	}
	out := c.Try(t.Context(), harness.Input{Argv: []string{filepath.Join(*programs, "bin", "ctr"), "-a", d.socket(), "-n", "k8s.io", "containers", "ls", "-q"}})
	if strings.TrimSpace(out.Stdout) != "" || out.Err != nil {
		t.Errorf("down left containers: %s", out)
	}
}

// forwards asks nginx by a forwarded port.
func forwards(t *testing.T, c *harness.Cluster, k harness.Kubectl) {
	forward := k.Start(t, "port-forward", "deployment/web", "18080:80")
	defer forward.Signal(t, os.Interrupt)
	client := &http.Client{Transport: &http.Transport{DialContext: c.Machine.Dial}}
	defer client.CloseIdleConnections()
	harness.Await(t, harness.Patience, "the forwarded port answers", func(ctx context.Context) error {
		resp, err := client.Get("http://127.0.0.1:18080/")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && !strings.Contains(string(body), "Welcome to nginx!") {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return err
	})
}
