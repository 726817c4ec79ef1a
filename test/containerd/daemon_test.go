//go:build containerd

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// pause holds a sandbox of containerd's.
const pause = "registry.k8s.io/pause:3.10.2"

// config is containerd's: its folders are the run's own.
const config = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pause + `"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[2]s/cni"
    conf_dir = "%[1]s/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "%[2]s/bin/runc"
`

// network gives pods addresses of the node's range by a routed link each, as Knarr's own runtime does.
const network = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "%s"}}]}
`

// daemon is a containerd on the cluster's machine.
type daemon struct {
	cluster  *harness.Cluster
	programs string
	dir      string
	process  *exec.Cmd
}

func (d *daemon) socket() string { return filepath.Join(d.dir, "containerd.sock") }

// start starts containerd and imports images.
func (d *daemon) start(t *testing.T, archives ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(d.dir, "cni"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"config.toml":          fmt.Sprintf(config, d.dir, d.programs),
		"cni/10-pods.conflist": fmt.Sprintf(network, filepath.Join(d.dir, "addresses")),
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(d.dir, "containerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.process = exec.Command(filepath.Join(d.programs, "bin", "containerd"), "--config", filepath.Join(d.dir, "config.toml"))
	d.process.Env = append(os.Environ(), "PATH="+filepath.Join(d.programs, "bin")+":"+os.Getenv("PATH"))
	d.process.Stdout, d.process.Stderr = log, log
	if err := d.cluster.Machine.Inside(d.process.Start); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, time.Minute, "containerd answers", func(ctx context.Context) error { return d.ctr(ctx, "version") })
	for _, archive := range archives {
		if err := d.ctr(t.Context(), "-n", "k8s.io", "images", "import", archive); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *daemon) ctr(ctx context.Context, args ...string) error {
	argv := append([]string{filepath.Join(d.programs, "bin", "ctr"), "-a", d.socket()}, args...)
	if out := d.cluster.Try(ctx, harness.Input{Argv: argv}); out.Err != nil {
		return errors.New(out.String())
	}
	return nil
}

// stop ends containerd, whose pods are gone, and removes what it keeps.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if d.process != nil {
		if err := d.process.Process.Signal(unix.SIGTERM); err != nil {
			t.Error(err)
		}
		timer := time.AfterFunc(30*time.Second, func() { _ = d.process.Process.Kill() })
		_ = d.process.Wait()
		timer.Stop()
	}
	if t.Failed() {
		if log, err := os.ReadFile(filepath.Join(d.dir, "containerd.log")); err == nil {
			t.Logf("containerd's log ends:\n%s", log[max(0, len(log)-8000):])
		}
	}
}
