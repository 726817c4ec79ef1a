package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/capability"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/selinux/go-selinux"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/apparmor"
	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/spec"
)

// maxProfile bounds a local seccomp profile, in bytes.
const maxProfile = 4 << 20

// discoverHost finds out what this machine lets the runtime do.
func discoverHost(h *cgroup.Hierarchy, log *slog.Logger) (spec.Host, error) {
	caps, err := permitted()
	if err != nil {
		return spec.Host{}, err
	}
	host := spec.Host{Capabilities: caps, MinOOMScore: -1000, Cgroup2: h.V2, UserNamespaces: userNamespaces(), SeccompProfile: readProfile}
	if !slices.Contains(caps, "CAP_SYS_RESOURCE") {
		if host.MinOOMScore, err = ownOOMScore(); err != nil {
			return host, err
		}
		log.Warn("no CAP_SYS_RESOURCE: out-of-memory scores below the runtime's own are raised to it", "lowest", host.MinOOMScore)
	}
	return host, nil
}

// permitted are the capabilities of this process.
func permitted() ([]string, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(data), "\n") {
		hex, ok := strings.CutPrefix(line, "CapPrm:")
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("own capabilities: %w", err)
		}
		var out []string
		for _, c := range capability.ListKnown() {
			if bits&(1<<uint(c)) != 0 {
				out = append(out, "CAP_"+strings.ToUpper(c.String()))
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("own capabilities: not in /proc/self/status")
}

func ownOOMScore() (int, error) {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// rlimitsFor reads the settings' limits of processes, and refuses what this
// process may not give.
func rlimitsFor(host spec.Host, settings map[string]spec.Rlimit) ([]specs.POSIXRlimit, error) {
	limits, err := spec.Rlimits(settings)
	if err != nil || slices.Contains(host.Capabilities, "CAP_SYS_RESOURCE") {
		return limits, err
	}
	for _, l := range limits {
		var own unix.Rlimit
		if err := unix.Getrlimit(spec.RlimitNumbers()[l.Type], &own); err != nil {
			return nil, fmt.Errorf("rlimits: own %s: %w", l.Type, err)
		}
		if l.Hard > own.Max {
			return nil, fmt.Errorf("rlimits: a hard %s of %d is above the runtime's own, %d, and raising it takes CAP_SYS_RESOURCE", l.Type, l.Hard, own.Max)
		}
	}
	return limits, nil
}

// confine has containers run under AppArmor, where the kernel has it.
func confine(ctx context.Context, host *spec.Host, log *slog.Logger) {
	kernel := apparmor.Discover()
	if !kernel.Enabled() {
		return
	}
	host.AppArmor = kernel.Loaded
	if err := kernel.EnsureDefault(ctx); err != nil {
		log.Warn("containers without a profile of their own run without AppArmor", "error", err)
		return
	}
	host.DefaultAppArmor = apparmor.Default
}

// policyOf is what SELinux has for containers, where it is.
func policyOf(log *slog.Logger) spec.SELinux {
	if !selinux.GetEnabled() {
		return spec.SELinux{}
	}
	process, file := selinux.ContainerLabels()
	if process == "" {
		log.Warn("containers that ask for an SELinux context run without: the policy has none for containers; install the system's package container-selinux")
		return spec.SELinux{}
	}
	selinux.ReleaseLabel(process) // levels are given by pods, not by the library
	return spec.SELinux{Process: process, File: file}
}

// userNamespaces says whether the kernel lets pods have users of their own,
// whose view of an image's files is a mapped mount below an overlay (Linux 5.19).
func userNamespaces() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); n != 2 {
		return false
	}
	most, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	return err == nil && strings.TrimSpace(string(most)) != "0" && (major > 5 || major == 5 && minor >= 19)
}

// passable says whether everybody can reach dir, if they know its name.
func passable(dir string) bool {
	for {
		fi, err := os.Stat(dir)
		if err != nil || fi.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == "/" || dir == "." {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

func readProfile(path string) ([]byte, error) {
	f, err := os.Open(strings.TrimPrefix(path, "localhost/"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxProfile))
}
