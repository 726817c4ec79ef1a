package preflight

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxConfig bounds what is read of a kernel's configuration, in bytes.
const maxConfig = 4 << 20

// kernelText says of a kernel what bears on options that something failed for
// want of: which of them it was built without, or that its modules are not
// there. It is empty where nothing is known, and begins with a semicolon else.
func kernelText(options ...string) string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	release := unix.ByteSliceToString(name.Release[:])
	_, err := os.Stat(filepath.Join("/lib/modules", release))
	return because(kernelConfig(release), options, release, errors.Is(err, fs.ErrNotExist))
}

// because words it: config has a line for each option that the kernel was
// built with.
func because(config string, options []string, release string, noModules bool) string {
	if config == "" {
		return ""
	}
	built := map[string]string{}
	for line := range strings.Lines(config) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			built[name] = value
		}
	}
	var without []string
	asModule := false
	for _, o := range options {
		switch built[o] {
		case "y":
		case "m":
			asModule = true
		default:
			without = append(without, o)
		}
	}
	switch {
	case len(without) > 0:
		return "; this kernel, " + release + ", is built without " + strings.Join(without, ", ")
	case asModule && noModules:
		return "; the modules of the running kernel, /lib/modules/" + release + ", are not there: after an upgrade of the kernel, reboot"
	}
	return ""
}

// kernelConfig is how the running kernel was built, empty where nothing tells.
func kernelConfig(release string) string {
	if f, err := os.Open("/proc/config.gz"); err == nil {
		defer f.Close()
		if unzipped, err := gzip.NewReader(f); err == nil {
			text, _ := io.ReadAll(io.LimitReader(unzipped, maxConfig))
			return string(text)
		}
	}
	for _, path := range []string{"/boot/config-" + release, "/lib/modules/" + release + "/config"} {
		if text, err := os.ReadFile(path); err == nil && len(text) < maxConfig {
			return string(text)
		}
	}
	return ""
}

// selinux warns where it enforces: containers get a label only where they ask.
func selinux(context.Context, Config) *problem {
	state, err := os.ReadFile("/sys/fs/selinux/enforce")
	if err != nil {
		return nil
	}
	return enforcing(state)
}

func enforcing(state []byte) *problem {
	if string(bytes.TrimSpace(state)) != "1" {
		return nil
	}
	return &problem{what: "SELinux is enforcing, and only containers with seLinuxOptions get labels of their own", tolerable: true,
		remedy: "where a pod is refused its files (ausearch -m avc tells), use permissive mode: setenforce 0"}
}

// windows looks whether this is Windows' subsystem for Linux, and which.
func windows(context.Context, Config) *problem {
	text, err := os.ReadFile("/proc/version")
	if err != nil {
		return nil
	}
	_, err = os.Stat("/run/systemd/system")
	return subsystem(string(text), err == nil)
}

func subsystem(version string, systemd bool) *problem {
	lower := strings.ToLower(version)
	switch {
	case !strings.Contains(lower, "microsoft"):
		return nil
	case !strings.Contains(lower, "wsl2") && !strings.Contains(lower, "microsoft-standard"):
		return &problem{what: "this is WSL 1, which has no Linux kernel", remedy: "convert the distribution, in Windows: wsl --set-version DISTRIBUTION 2"}
	case !systemd:
		return &problem{what: "WSL 2 runs without systemd: nothing keeps the cluster when the last window closes", tolerable: true,
			remedy: "write systemd=true below [boot] in /etc/wsl.conf; then, in Windows: wsl --shutdown"}
	}
	return nil
}
