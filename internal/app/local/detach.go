package local

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/knarr-io/knarr/internal/app/systemd"
)

// detached starts a process in a session of its own.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// leaveSession takes keep out of the login session of whoever typed up, before
// it has started anything. Where that fails the cluster runs all the same, as
// long as the session does.
func (s Settings) leaveSession(ctx context.Context, keep int, logger *slog.Logger) {
	if !systemd.Running() {
		return
	}
	standing := ""
	if s.inScope(unified) {
		standing = "/" + scopeServices
	}
	if err := systemd.Scope(ctx, s.scope(), standing, keep); err != nil {
		logger.Warn("the cluster may end with your session: systemd gave it no scope of its own", "error", err, "remedy", "knarr install makes it a service")
		return
	}
	if err := s.settle(unified, keep); err != nil {
		logger.Warn("pods get cgroups beside those of systemd's", "error", err)
	}
}

// unified is where cgroup v2 is mounted, if it is.
const unified = "/sys/fs/cgroup"

// What lies in the scope, which systemd delegates: Knarr's own processes apart
// from the pods, since a group that shares its resources out holds no processes
// itself (cgroups(7)).
const (
	scopeServices = "services"
	scopePods     = "pods"
)

// settle moves keep, and so all that it starts, to its place in the scope.
// Where pods live beside the scope already, as an older Knarr had them, nothing
// changes until they are gone.
func (s Settings) settle(root string, keep int) error {
	if !exists(filepath.Join(root, "cgroup.controllers")) || exists(filepath.Join(root, s.CgroupParent)) {
		return nil
	}
	place := filepath.Join(root, s.scopeGroup(), scopeServices)
	if err := os.Mkdir(place, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(place, "cgroup.procs"), []byte(strconv.Itoa(keep)), 0o644)
}

// podGroup is the cgroup above those of the pods: in the node's scope where
// there is one, else CgroupParent.
func (s Settings) podGroup(root string) string {
	if s.inScope(root) {
		return filepath.Join(s.scopeGroup(), scopePods)
	}
	return s.CgroupParent
}

// inScope tells that the scope is shared out as settle does.
func (s Settings) inScope(root string) bool {
	return exists(filepath.Join(root, s.scopeGroup(), scopeServices))
}

func (s Settings) scopeGroup() string { return filepath.Join("/system.slice", s.scope()) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// scope names the node's transient unit after its cgroup, which is its alone.
func (s Settings) scope() string {
	plain := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}
	return strings.Map(plain, strings.Trim(s.CgroupParent, "/")) + ".scope"
}
