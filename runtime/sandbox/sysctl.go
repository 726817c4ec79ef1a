package sandbox

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/knarr-io/knarr/runtime/fault"
)

// checkSysctls refuses settings that would reach beyond the pod's namespaces.
func checkSysctls(s *Sandbox) error {
	for name := range s.Config.GetLinux().GetSysctls() {
		name = strings.ReplaceAll(name, "/", ".")
		switch {
		case strings.Contains(name, ".."):
			return fault.New(fault.Invalid, "sysctl %q: not a name", name)
		case strings.HasPrefix(name, "net."):
			if s.HostNetwork() {
				return fault.New(fault.Invalid, "sysctl %q: the pod uses the node's network", name)
			}
		case isIPC(name):
			if s.HostIPC() {
				return fault.New(fault.Invalid, "sysctl %q: the pod uses the node's IPC namespace", name)
			}
		default:
			return fault.New(fault.Invalid, "sysctl %q: not in a namespace of the pod", name)
		}
	}
	return nil
}

func isIPC(name string) bool {
	return strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") ||
		name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
}

// writeSysctls sets them for the calling thread's namespaces.
func writeSysctls(sysctls map[string]string) error {
	for name, value := range sysctls {
		path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fault.New(fault.Invalid, "sysctl %s: %w", name, err)
		}
	}
	return nil
}
