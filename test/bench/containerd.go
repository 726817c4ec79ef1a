package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	otherruntime "github.com/knarr-io/knarr/test/containerd"
)

// containerd is one that only pulls images, with folders of its own on the
// disk that is measured.
type containerd struct {
	bin, dir, socket, version string
	process                   *exec.Cmd
}

// startContainerd starts the programs that the option -containerd names.
func (c *cluster) startContainerd(ctx context.Context) (*containerd, error) {
	d := &containerd{bin: filepath.Join(c.containerd, "bin"), dir: filepath.Join(c.home, "containerd")}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	setup := otherruntime.Setup{Dir: d.dir}
	d.socket = setup.Socket()
	config, err := setup.Write()
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(d.bin, "containerd"), "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	// containerd github.com/containerd/containerd 1.6.20~ds1 ...
	if fields := strings.Fields(string(out)); len(fields) > 2 {
		d.version = "containerd " + fields[2]
	}
	d.process = exec.Command(filepath.Join(d.bin, "containerd"), "--config", config)
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.process.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		if err = d.ctr(ctx, "version"); err == nil {
			return d, nil
		}
		if perr := pause(ctx, 100*time.Millisecond); perr != nil {
			err = perr
			break
		}
	}
	d.stop()
	return nil, fmt.Errorf("containerd does not answer: %w", err)
}

func (d *containerd) ctr(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "ctr"), append([]string{"-a", d.socket}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// pull fetches an image and unpacks it.
func (d *containerd) pull(ctx context.Context, ref string) error {
	return d.ctr(ctx, "images", "pull", "--plain-http", ref)
}

// remove removes it, with all that it consists of.
func (d *containerd) remove(ctx context.Context, ref string) error {
	return d.ctr(ctx, "images", "rm", "--sync", ref)
}

func (d *containerd) stop() {
	if err := d.process.Process.Signal(syscall.SIGTERM); err == nil {
		timer := time.AfterFunc(30*time.Second, func() { _ = d.process.Process.Kill() })
		defer timer.Stop()
	}
	_ = d.process.Wait()
}
