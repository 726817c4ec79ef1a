//go:build containerd

package containerd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// daemon is a containerd on the cluster's machine.
type daemon struct {
	cluster  *harness.Cluster
	programs string
	dir      string
	process  *exec.Cmd
}

func (d *daemon) setup() Setup {
	return Setup{Dir: d.dir, Runc: filepath.Join(d.programs, "bin", "runc"), Plugins: filepath.Join(d.programs, "cni"), Pods: "10.244.0.0/24"}
}

func (d *daemon) socket() string { return d.setup().Socket() }

// start starts containerd and imports images.
func (d *daemon) start(t *testing.T, archives ...string) {
	t.Helper()
	config, err := d.setup().Write()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(d.dir, "containerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.process = exec.Command(filepath.Join(d.programs, "bin", "containerd"), "--config", config)
	d.process.Env = append(os.Environ(), "PATH="+filepath.Join(d.programs, "bin")+":"+os.Getenv("PATH"))
	d.process.Stdout, d.process.Stderr = log, log
	if err := d.cluster.Machine.Inside(d.process.Start); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, harness.Patience, "containerd answers", func(ctx context.Context) error { return d.ctr(ctx, "version") })
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
