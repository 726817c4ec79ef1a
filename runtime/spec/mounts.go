package spec

import (
	"path"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Mount is one of CRI's mounts, with its source on the host.
type Mount struct {
	Source, Destination string
	Readonly            bool
	// RecursiveReadonly makes mounts below the source read-only as well.
	RecursiveReadonly bool
	Propagation       cri.MountPropagation
	// Mapped shows the files as those of the pod's own users.
	Mapped bool
}

func buildMounts(in Input) []specs.Mount {
	mounts := append(systemMounts(in), sandboxMounts(in)...)
	taken := map[string]bool{}
	var own []specs.Mount
	for _, m := range in.Mounts {
		own = append(own, bind(m))
		taken[path.Clean(m.Destination)] = true
	}
	// Parents before children, whatever order the pod names them in.
	sort.SliceStable(own, func(i, j int) bool { return depth(own[i].Destination) < depth(own[j].Destination) })
	var out []specs.Mount
	for _, m := range mounts {
		if !taken[m.Destination] {
			out = append(out, m)
		}
	}
	return append(out, own...)
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// systemMounts are the kernel's file systems.
func systemMounts(in Input) []specs.Mount {
	access := "ro"
	if security(in.Container).GetPrivileged() {
		access = "rw"
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}},
	}
}

// sandboxMounts are what a pod's containers share.
func sandboxMounts(in Input) []specs.Mount {
	access := "rw"
	if security(in.Container).GetReadonlyRootfs() {
		access = "ro"
	}
	f := in.Files
	var out []specs.Mount
	for _, m := range []struct{ source, destination, access string }{
		{f.Hostname, "/etc/hostname", access},
		{f.Hosts, "/etc/hosts", access},
		{f.ResolvConf, "/etc/resolv.conf", access},
		{f.Shm, "/dev/shm", "rw"},
	} {
		if m.source != "" {
			out = append(out, specs.Mount{Destination: m.destination, Type: "bind", Source: m.source,
				Options: []string{"rbind", "rprivate", m.access}})
		}
	}
	return out
}

func bind(m Mount) specs.Mount {
	options := []string{"rbind"}
	switch m.Propagation {
	case cri.MountPropagation_PROPAGATION_BIDIRECTIONAL:
		options = append(options, "rshared")
	case cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
		options = append(options, "rslave")
	default:
		options = append(options, "rprivate")
	}
	switch {
	case m.RecursiveReadonly:
		options = append(options, "rro")
	case m.Readonly:
		options = append(options, "ro")
	default:
		options = append(options, "rw")
	}
	if m.Mapped {
		options = append(options, "ridmap")
	}
	return specs.Mount{Destination: path.Clean(m.Destination), Type: "bind", Source: m.Source, Options: options}
}

// rootPropagation is the least that lets every mount propagate as it must.
func rootPropagation(mounts []Mount) string {
	p := "rprivate"
	for _, m := range mounts {
		switch m.Propagation {
		case cri.MountPropagation_PROPAGATION_BIDIRECTIONAL:
			return "rshared"
		case cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
			p = "rslave"
		}
	}
	return p
}
