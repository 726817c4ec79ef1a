// Package node wires the runtime's parts together, in the order in which they
// need each other, and runs them until it is told to end. Ending it ends no
// container.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runc/libcontainer/seccomp"

	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/cri"
	"github.com/knarr-io/knarr/runtime/image"
	"github.com/knarr-io/knarr/runtime/keeper"
	"github.com/knarr-io/knarr/runtime/sandbox"
	"github.com/knarr-io/knarr/runtime/seal"
)

// Config is how the runtime is set up.
type Config struct {
	// Socket serves CRI, AdminSocket images by hand, KeepSocket is knarr-keep's.
	Socket, AdminSocket, KeepSocket string
	// Root is a folder that outlives a reboot; State one on a tmpfs.
	Root, State string
	// CgroupParent is where pods go that name no cgroup.
	CgroupParent string
	// ConfigFile names the settings; it may be empty.
	ConfigFile string
	// PauseBinary is the path of knarr-pause.
	PauseBinary string
	Version     string
	// KeepImages has Cleanup leave the images.
	KeepImages bool
	Log        *slog.Logger
}

func (c Config) records(kind string) string { return filepath.Join(c.Root, kind) }
func (c Config) state(kind string) string   { return filepath.Join(c.State, kind) }

// Run is the runtime: it returns when ctx is done, or when it cannot go on.
func Run(ctx context.Context, cfg Config) error {
	if err := check(cfg); err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := prepare(cfg, boot); err != nil {
		return fmt.Errorf("prepare folders: %w", err)
	}
	if err := seal.Ensure(cfg.state("libcontainer"), cfg.Log); err != nil {
		return err
	}
	k := keeper.New(cfg.KeepSocket, cfg.Log)
	svc, err := build(ctx, cfg, boot, k)
	if err != nil {
		return err
	}
	// What ran before is known now, and keep may tell how it ended.
	svc.Containers.Want()
	go k.Run(ctx)
	svc.Containers.Resume()
	err = serve(ctx, cfg, svc)
	svc.Sandboxes.Wait()
	// A keep that came while this runtime was cut off must hold the streams before they close.
	if herr := k.Rehold(); herr != nil {
		cfg.Log.Warn("knarr-keep does not answer: output of running containers is lost", "error", herr)
	}
	return err
}

func check(cfg Config) error {
	if os.Geteuid() != 0 {
		return errors.New("must run as root: it makes namespaces, mounts and cgroups")
	}
	if !seccomp.Enabled {
		return errors.New("this binary was built without the tag seccomp, so it cannot confine containers: build it with make -C runtime")
	}
	return nil
}

// prepare makes the folders, and empties the state of an earlier boot where
// the state folder is no tmpfs.
func prepare(cfg Config, boot string) error {
	for _, dir := range []string{cfg.Root, cfg.State} {
		// Containers' processes pass through, and see nothing.
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	mark := cfg.state("boot")
	was, err := os.ReadFile(mark)
	if err == nil && string(was) == boot {
		return nil
	}
	entries, err := os.ReadDir(cfg.State)
	if err != nil {
		return err
	}
	if err := unmountBelow(cfg.State); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(cfg.state(e.Name())); err != nil {
			return err
		}
	}
	return os.WriteFile(mark, []byte(boot), 0o600)
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// build opens every part, bottom first.
func build(ctx context.Context, cfg Config, boot string, k *keeper.Keeper) (*cri.Service, error) {
	set, err := loadSettings(cfg.ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	groups, err := cgroup.Discover()
	if err != nil {
		return nil, err
	}
	host, err := discoverHost(groups, cfg.Log)
	if err != nil {
		return nil, err
	}
	confine(ctx, &host, cfg.Log)
	host.SELinux = policyOf(cfg.Log)
	if host.Rlimits, err = rlimitsFor(host, set.Rlimits); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if host.UserNamespaces && !passable(cfg.State) {
		cfg.Log.Warn("pods cannot have users of their own: only root can enter the folder of running state", "state", cfg.State)
		host.UserNamespaces = false
	}
	images, err := image.Open(cfg.records("images"), set.Registries, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	engines, err := openEngines(cfg, set.Handlers, groups)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	svc := &cri.Service{Log: cfg.Log, Stopping: ctx.Done(), Release: cfg.Version, Images: images, Host: host, Pinned: set.Pinned, Builtin: builtin(), Handlers: engines.others}
	svc.Sandboxes, err = sandbox.Open(ctx, sandbox.Config{Records: cfg.records("sandboxes"), State: cfg.state("sandboxes"), Boot: boot,
		PauseBinary: cfg.PauseBinary, Log: cfg.Log, Notify: svc.SandboxEnded})
	if err != nil {
		return nil, fmt.Errorf("sandboxes: %w", err)
	}
	svc.Containers, err = container.Open(ctx, container.Config{
		Records: cfg.records("containers"), State: cfg.state("containers"), Boot: boot,
		CgroupParent: cfg.CgroupParent, Host: host, Images: images, Sandboxes: svc.Sandboxes, Keeper: k,
		Engines: engines, Cgroups: groups, Log: cfg.Log,
		Notify: svc.Publish})
	if err != nil {
		return nil, fmt.Errorf("containers: %w", err)
	}
	// What a killed runtime was fetching belongs to nobody.
	if err := images.Collect(); err != nil {
		cfg.Log.Warn("cannot remove unused image data", "error", err)
	}
	return svc, nil
}

// listenUnix opens a socket that only root may use, in place of a stale one.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, err
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("another runtime answers on %s", path)
	}
	_ = os.Remove(path)
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}
