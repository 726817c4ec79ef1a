// Package apparmor confines containers by AppArmor where the kernel has it: it
// ships the default profile, loads it, and knows what is loaded. Without
// AppArmor nothing here does anything.
package apparmor

import (
	"bufio"
	"context"
	_ "embed" // the profile's text
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Default is the name of the profile of containers that choose none.
const Default = "knarr-default"

//go:embed default.profile
var defaultProfile string

const (
	// loadTime bounds the parser, which compiles a profile.
	loadTime = 30 * time.Second
	// maxProfiles bounds the kernel's list of profiles, in bytes.
	maxProfiles = 8 << 20
)

// Kernel is the kernel's AppArmor. The zero value is a kernel without it.
type Kernel struct {
	// list is the file that names the loaded profiles; empty without AppArmor.
	list string
}

// Discover finds out whether the kernel enforces profiles.
func Discover() Kernel {
	return discover("/sys/module/apparmor/parameters/enabled", "/sys/kernel/security/apparmor/profiles")
}

func discover(enabled, list string) Kernel {
	data, err := os.ReadFile(enabled)
	if err != nil || !strings.HasPrefix(string(data), "Y") {
		return Kernel{}
	}
	return Kernel{list: list}
}

// Enabled says whether the kernel enforces profiles.
func (k Kernel) Enabled() bool { return k.list != "" }

// Loaded says whether a profile is loaded.
func (k Kernel) Loaded(name string) (bool, error) {
	if !k.Enabled() {
		return false, nil
	}
	f, err := os.Open(k.list)
	if err != nil {
		return false, fmt.Errorf("loaded AppArmor profiles: %w", err)
	}
	defer f.Close()
	// A line is a name and its mode in parentheses; a name may hold spaces.
	lines := bufio.NewScanner(io.LimitReader(f, maxProfiles))
	for lines.Scan() {
		line := lines.Text()
		if at := strings.LastIndex(line, " ("); at >= 0 && line[:at] == name {
			return true, nil
		}
	}
	return false, lines.Err()
}

// EnsureDefault loads the default profile where it is not, by the system's own
// apparmor_parser, which every system with AppArmor has.
func (k Kernel) EnsureDefault(ctx context.Context) error {
	return k.ensure(ctx, "apparmor_parser")
}

func (k Kernel) ensure(ctx context.Context, parser string) error {
	if !k.Enabled() {
		return nil
	}
	if loaded, err := k.Loaded(Default); err != nil || loaded {
		return err
	}
	path, err := find(parser)
	if err != nil {
		return fmt.Errorf("load AppArmor profile %s: %w: install the system's package apparmor", Default, err)
	}
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-K", "-r") // no cache; in place of what is loaded
	cmd.Stdin = strings.NewReader(defaultProfile)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load AppArmor profile %s: %w: %s", Default, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// find finds a program also where PATH of a service does not lead.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	for _, dir := range []string{"/sbin", "/usr/sbin"} {
		if errors.Is(err, exec.ErrNotFound) {
			path, err = exec.LookPath(filepath.Join(dir, program))
		}
	}
	return path, err
}
