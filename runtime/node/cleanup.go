package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/sandbox"
)

// endWait is how long killed processes may take to end.
const endWait = 20 * time.Second

// Cleanup removes every container, mount, namespace, link, cgroup and file of
// a runtime that does not run. It goes on after a failure and returns them all.
func Cleanup(cfg Config) error {
	if err := check(cfg); err != nil {
		return err
	}
	groups, err := cgroup.Discover()
	if err != nil {
		return err
	}
	for _, dir := range []string{cfg.Root, cfg.State} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	return errors.Join(
		endContainers(cfg, groups),
		endProcesses(groups, cfg.CgroupParent),
		endSandboxes(cfg),
		unmountBelow(cfg.State),
		unmountBelow(cfg.Root),
		groups.Remove(cfg.CgroupParent),
		removeFolders(cfg),
	)
}

func endContainers(cfg Config, groups *cgroup.Hierarchy) error {
	// Programs that only the configuration knows are not asked: their containers are killed.
	engines, err := openEngines(cfg, nil, groups)
	if err != nil {
		return err
	}
	all := endAll(engines.own)
	for _, r := range engines.others.All() {
		all = errors.Join(all, endAll(r))
	}
	return all
}

// endAll destroys every container of an engine.
func endAll(e interface {
	List() ([]string, error)
	Destroy(id string) error
}) error {
	ids, err := e.List()
	for _, id := range ids {
		err = errors.Join(err, e.Destroy(id))
	}
	return err
}

// endProcesses kills what is left in the cgroups of ours.
func endProcesses(groups *cgroup.Hierarchy, parent string) error {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	var all error
	for _, pid := range groups.Processes(parent) {
		id, err := proc.Identify(pid)
		if err != nil || pid == os.Getpid() {
			continue
		}
		h, err := id.Watch()
		if err != nil {
			continue
		}
		err = h.Signal(unix.SIGKILL)
		if err == nil {
			err = h.Wait(ctx)
		}
		_, _ = h.Reap() // works for children only
		h.Close()
		if err != nil {
			all = errors.Join(all, fmt.Errorf("process %d: %w", pid, err))
		}
	}
	return all
}

// endSandboxes takes away what sandboxes have.
func endSandboxes(cfg Config) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	m, err := sandbox.Open(context.Background(), sandbox.Config{Records: cfg.records("sandboxes"), State: cfg.state("sandboxes"), Boot: boot, Log: cfg.Log, Notify: func(*sandbox.Sandbox) {}})
	if err != nil {
		return err
	}
	for _, s := range m.List() {
		err = errors.Join(err, m.Remove(s))
	}
	m.Wait()
	return err
}

// unmountBelow takes away every mount at or below dir, the last one first.
func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		target := strings.TrimSuffix(mounts[i].Mountpoint, "//deleted")
		if uerr := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); uerr != nil && !errors.Is(uerr, unix.EINVAL) {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", target, uerr))
		}
	}
	return err
}

func removeFolders(cfg Config) error {
	for _, dir := range cfg.removable() {
		left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("%s stays: %s is still mounted", dir, left[0].Mountpoint)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// removable are the folders that cleaning up removes.
func (c Config) removable() []string {
	if c.KeepImages {
		return []string{c.State, c.records("sandboxes"), c.records("containers")}
	}
	return []string{c.State, c.Root}
}
