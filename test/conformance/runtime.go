package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/test/e2e/harness"
)

const (
	// startTime bounds the start of keep and the runtime.
	startTime = 30 * time.Second
	// podNetwork is what the runtime gives pods their addresses of.
	podNetwork = "10.244.0.0/24"
)

// runtime is knarr-keep with a knarr-runtime, on a machine of their own.
type runtime struct {
	machine  *harness.Machine
	programs string
	dir      string
	keep     keep.Client
	process  *exec.Cmd
}

func (r *runtime) path(name string) string { return filepath.Join(r.dir, name) }

// cgroup is that of all containers.
func (r *runtime) cgroup() string { return "/" + filepath.Base(r.dir) }

// onRuntime runs f with a runtime, and removes everything of it afterwards.
func onRuntime(ctx context.Context, o options, f func(context.Context, *runtime) error) (result, err error) {
	machine, err := harness.NewMachine()
	if err != nil {
		return nil, err
	}
	defer machine.Close()
	dir, err := os.MkdirTemp("/run", "knarr-critest-")
	if err != nil {
		return nil, err
	}
	// The users of pods that have their own pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	r := &runtime{machine: machine, programs: o.programs, dir: dir, keep: keep.Client{Socket: filepath.Join(dir, "keep.sock")}}
	stop, err := serveImages(machine, o.images)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, stop()) }()
	defer func() { err = errors.Join(err, r.remove(context.WithoutCancel(ctx))) }()
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return f(ctx, r), nil
}

// start starts keep, and through it the runtime, and waits until it serves.
func (r *runtime) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := os.WriteFile(r.path("registries.json"), registriesFile(r.machine), 0o644); err != nil {
		return err
	}
	if err := r.machine.Inside(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }); err != nil {
		return fmt.Errorf("let the machine forward: %w", err)
	}
	r.process = exec.Command(filepath.Join(r.programs, "knarr-keep"), "--socket", r.path("keep.sock"), "--state", r.path("keep"), "--log", r.path("keep.log"))
	if err := r.machine.Inside(r.process.Start); err != nil {
		return fmt.Errorf("start knarr-keep: %w", err)
	}
	err := retry(ctx, "knarr-keep answers", func() error { _, err := r.keep.List(ctx); return err })
	if err != nil {
		return err
	}
	service := keep.Service{Name: "runtime", Restart: "always", Log: r.path("runtime.log"), Argv: append(r.argv("serve"), "--config", r.path("registries.json")),
		Env: []string{"PATH=" + os.Getenv("PATH")}}
	if _, err := r.keep.Start(ctx, service); err != nil {
		return fmt.Errorf("start knarr-runtime: %w", err)
	}
	return retry(ctx, "knarr-runtime serves", func() error { return r.configure(ctx) })
}

// configure gives the runtime the network of its pods, as a node agent does.
func (r *runtime) configure(ctx context.Context) error {
	conn, err := grpc.NewClient("unix://"+r.path("runtime.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = cri.NewRuntimeServiceClient(conn).UpdateRuntimeConfig(ctx, &cri.UpdateRuntimeConfigRequest{
		RuntimeConfig: &cri.RuntimeConfig{NetworkConfig: &cri.NetworkConfig{PodCidr: podNetwork}}})
	return err
}

func (r *runtime) argv(command string) []string {
	return []string{filepath.Join(r.programs, "knarr-runtime"), command, "--socket", r.path("runtime.sock"), "--admin-socket", r.path("admin.sock"),
		"--keep-socket", r.path("keep.sock"), "--root", r.path("root"), "--state", r.path("state"), "--cgroup-parent", r.cgroup()}
}

// remove stops both and has the runtime take away what it made.
func (r *runtime) remove(ctx context.Context) error {
	var failed []error
	if r.process != nil {
		failed = append(failed, r.keep.Stop(ctx, "runtime", 10*time.Second))
		cleanup := exec.CommandContext(ctx, r.argv("cleanup")[0], r.argv("cleanup")[1:]...)
		if err := r.machine.Inside(cleanup.Run); err != nil {
			failed = append(failed, fmt.Errorf("remove what the runtime made, which lies in %s: %w", r.dir, err))
		}
		failed = append(failed, r.keep.Shutdown(ctx, true), r.process.Wait())
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return os.RemoveAll(r.dir)
}

// retry tries f until it succeeds or ctx ends.
func retry(ctx context.Context, what string, f func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited until %s: %w", what, err)
		case <-tick.C:
		}
	}
}
