package spec

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// defaultCapabilities are what a container has that asks for nothing: the set of docker and containerd.
func defaultCapabilities() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// Capabilities returns the capability sets of a container's processes. What
// the runtime itself does not have cannot be given.
func Capabilities(sc *cri.LinuxContainerSecurityContext, host Host) *specs.LinuxCapabilities {
	var set, ambient []string
	if sc.GetPrivileged() {
		set = slices.Clone(host.Capabilities)
	} else {
		c := sc.GetCapabilities()
		ambient = only(capNames(c.GetAddAmbientCapabilities()), host.Capabilities)
		set = combine(c.GetAddCapabilities(), c.GetDropCapabilities(), host.Capabilities)
		set = append(set, without(ambient, set)...)
	}
	set = only(set, host.Capabilities)
	slices.Sort(set)
	return &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set, Inheritable: ambient, Ambient: ambient}
}

// combine applies additions and removals to the default set. ALL comes first,
// so that single names can take from it or add to it.
func combine(add, drop, all []string) []string {
	add, drop = capNames(add), capNames(drop)
	set := defaultCapabilities()
	if slices.Contains(add, "CAP_ALL") {
		set = slices.Clone(all)
	}
	if slices.Contains(drop, "CAP_ALL") {
		set = nil
	}
	for _, c := range add {
		if c != "CAP_ALL" && !slices.Contains(set, c) {
			set = append(set, c)
		}
	}
	return without(set, drop)
}

func capNames(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "CAP_" + strings.TrimPrefix(strings.ToUpper(n), "CAP_")
	}
	return out
}

func only(set, allowed []string) []string {
	var out []string
	for _, c := range set {
		if slices.Contains(allowed, c) && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

func without(set, removed []string) []string {
	var out []string
	for _, c := range set {
		if !slices.Contains(removed, c) {
			out = append(out, c)
		}
	}
	return out
}
