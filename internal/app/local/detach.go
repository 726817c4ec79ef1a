package local

import (
	"context"
	"log/slog"
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
	if !systemd.Running() || systemd.InService() {
		return
	}
	if err := systemd.Scope(ctx, s.scope(), keep); err != nil {
		logger.Warn("the cluster may end with your session: systemd gave it no scope of its own", "error", err, "remedy", "knarr install makes it a service")
	}
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
